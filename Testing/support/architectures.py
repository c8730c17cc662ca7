"""The two networks of the published table, with random weights, and a small one of the same make."""

from collections.abc import Sequence

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn


def plain_unet(features: Sequence[int], outputs: int, channels: int = 1, deep_supervision: bool = False) -> nn.Module:
    """nnU-Net's PlainConvUNet as TotalSegmentator's plans have it: every stage after the first halves the grid."""
    strides = [1] + [2] * (len(features) - 1)
    network: nn.Module = PlainConvUNet(
        channels,
        len(features),
        list(features),
        nn.Conv3d,
        3,
        strides,
        2,
        outputs,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=deep_supervision,
    )
    return network.eval()


def task_297() -> nn.Module:
    """The 3 mm model of `total`."""
    return plain_unet((32, 64, 128, 256, 320), 118)


def task_291() -> nn.Module:
    """The 1.5 mm model of `total`'s first part."""
    return plain_unet((32, 64, 128, 256, 320, 320), 25)


def small() -> nn.Module:
    torch.manual_seed(0)
    return plain_unet((10, 12, 14), 3)

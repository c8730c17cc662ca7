"""A network in double precision, within the memory of an ordinary computer."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLICES = 4
"""Slices that are computed at a time, as PyTorch unfolds the input of a convolution in double precision, 27-fold."""


def in_double(network: nn.Module) -> nn.Module:
    """A copy of `network`, which is in evaluation mode, with the same weights in double precision."""
    double = copy.deepcopy(network).double()
    for parent in list(double.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv3d) and child.padding_mode == "zeros" and not isinstance(child.padding, str):
                setattr(parent, name, _InSlabs(child))
    return double


class _InSlabs(nn.Module):
    """A 3D convolution, a few slices at a time."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        a = self.layer
        framed = functional.pad(x, [margin for margin in reversed([int(p) for p in a.padding]) for _ in range(2)])
        reach = (a.kernel_size[0] - 1) * a.dilation[0] + 1
        slices = (framed.shape[2] - reach) // a.stride[0] + 1
        slabs = []
        for start in range(0, slices, _SLICES):
            stop = min(start + _SLICES, slices)
            seen = framed[:, :, start * a.stride[0] : (stop - 1) * a.stride[0] + reach]
            slabs.append(functional.conv3d(seen, a.weight, a.bias, a.stride, 0, a.dilation, a.groups))
        return torch.cat(slabs, 2)

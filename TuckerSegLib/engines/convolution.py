"""Convolutions by oneDNN whatever their size: PyTorch leaves small ones to much slower code of its own."""

from typing import Any

import torch
from torch import Tensor, nn

from .layout import channels_last


class OneDnn(nn.Module):
    """What a plain convolution is, channels last in memory."""

    def __init__(self, layer: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        a = self.layer
        answer: Tensor = torch.ops.aten.mkldnn_convolution(
            channels_last(x), a.weight, a.bias, a.padding, a.stride, a.dilation, a.groups
        )
        return answer


def suits_onednn(module: Any) -> bool:
    """Whether it is a convolution that oneDNN knows as it is, where there is oneDNN."""
    plain = isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.padding_mode == "zeros"
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return plain and not isinstance(module.padding, str) and available

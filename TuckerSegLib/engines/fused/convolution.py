"""Convolutions by oneDNN, where it is there, whatever their size: PyTorch leaves small ones to slower code of its own.

Those that Winograd's algorithm suits run by that (`compiled.winograd`): over whole patches it is faster at all of them,
from a little at 8 channels to more than twice at 32. Trying both here would let chance decide where they are near each
other, so that the same computer would give answers that differ in their last bits on another day.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .channels_last import channels_last


def onednn(layer: nn.Conv2d | nn.Conv3d, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any) -> Tensor:
    """`layer` with this weight, bias and padding."""
    answer: Tensor = torch.ops.aten.mkldnn_convolution(
        channels_last(x), weight, bias, padding, layer.stride, layer.dilation, layer.groups
    )
    return answer


class OneDnn(nn.Module):
    """What a plain convolution is, channels last in memory."""

    def __init__(self, layer: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return onednn(self.layer, x, self.layer.weight, self.layer.bias, self.layer.padding)


def suits_onednn(module: Any) -> bool:
    """Whether it is a convolution that oneDNN knows as it is, where there is oneDNN."""
    plain = isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.padding_mode == "zeros"
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return plain and not isinstance(module.padding, str) and available

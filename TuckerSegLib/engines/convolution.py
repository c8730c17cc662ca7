"""Convolutions as they are fastest on a CPU, channels last in memory."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels, tiles
from .layout import empty

_FEW = 4
"""Channels up to which a library made for many wastes most of its work on padding."""

Plain = nn.Conv2d | nn.Conv3d


def is_plain(module: nn.Module) -> bool:
    return isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.padding_mode == "zeros"


def fastest(layer: Plain) -> nn.Module:
    """What takes the place of a plain convolution; itself where nothing is gained."""
    if kernels.available() and _suits_few(layer):
        return FewChannels(layer)
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if onednn and not isinstance(layer.padding, str):
        return OneDnn(layer)
    return layer


class OneDnn(nn.Module):
    """By oneDNN whatever the size: PyTorch leaves small inputs to an implementation that is up to 20 times slower."""

    def __init__(self, layer: Plain) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        a = self.layer
        answer: Tensor = torch.ops.aten.mkldnn_convolution(
            x, a.weight, a.bias, a.padding, a.stride, a.dilation, a.groups
        )
        return answer


class FewChannels(nn.Module):
    """A convolution of 3D images with few channels, by a kernel made for it: (N, I, D, H, W) to (N, O, D, H, W)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: Plain) -> None:
        super().__init__()
        self.width, self._size = layer.out_channels, layer.kernel_size
        self._kernel = kernels.ConvolutionKernel(layer.weight[0].numel(), self.width)
        bias = layer.weight.new_zeros(self.width) if layer.bias is None else layer.bias.detach()
        self.register_buffer("weight", kernels.padded(layer.weight.detach().flatten(1).T))
        self.register_buffer("bias", kernels.padded(bias))

    def forward(self, x: Tensor) -> Tensor:
        answer = empty(x, self.width)
        for image, there in zip(x, answer, strict=True):
            self._one(image, there.movedim(0, -1))
        return answer

    def _one(self, image: Tensor, answer: Tensor) -> None:
        """`answer` is (D, H, W, O)."""
        margins = [size // 2 for size in reversed(self._size) for _ in range(2)]
        framed = functional.pad(image, margins).contiguous()
        table = _taps(framed.shape, self._size)

        def work(slices: Iterator[slice], _: int) -> None:
            for many in slices:
                for index in range(*many.indices(len(answer))):
                    self._kernel(framed[0, index], framed.shape[-1], self.weight, self.bias, table, answer[index])

        tiles.run(work, answer, math.prod(answer.shape[1:]))


def _suits_few(layer: Plain) -> bool:
    same = all(pad == size // 2 and size % 2 for pad, size in zip(layer.padding, layer.kernel_size, strict=True))
    usual = set(layer.stride) == {1} and set(layer.dilation) == {1} and layer.groups == 1
    return isinstance(layer, nn.Conv3d) and layer.in_channels <= _FEW and max(layer.kernel_size) > 1 and same and usual


def _taps(shape: torch.Size, size: tuple[int, ...]) -> Tensor:
    """How far from a voxel's place in the framed image each number that it depends on lies."""
    channels, depth, height, width = shape
    planes = torch.arange(channels)[:, None, None, None] * depth + torch.arange(size[0])[:, None, None]
    return ((planes * height + torch.arange(size[1])[:, None]) * width + torch.arange(size[2])).flatten().contiguous()

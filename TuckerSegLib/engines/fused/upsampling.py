"""A decoder's way up: a transposed convolution whose answer's voxels each come from one voxel of its input.

It is a matrix product (voxels, I) x (I, taps O) whose columns go to different voxels. A few slices at a time, they are
still in a core's cache when they get there; and where the answer is added to something, it never exists alone.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from . import parallel
from .channels_last import channels_last, empty
from .pointwise import bias_of

_BYTES = 1 << 20
"""Bytes of the answer that are made at a time."""


def leaves_no_overlap(module: Any) -> bool:
    """Whether each number of its answer comes from one place of its input, and each place of it gets one."""
    return (
        isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d))
        and module.groups == 1
        and module.kernel_size == module.stride
        and all(step == 1 for step in module.dilation)
        and not any((*module.padding, *module.output_padding))
    )


class Upsampling(nn.Module):
    """(N, I, *spatial) to (N, O, *larger), channels last in memory; added to `onto` of that shape, in place, if given.

    Args:
        layer: a convolution that `leaves_no_overlap`.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.ConvTranspose2d | nn.ConvTranspose3d) -> None:
        super().__init__()
        self.stride, self.out_channels = tuple(int(size) for size in layer.stride), layer.out_channels
        self.register_buffer("weight", layer.weight.detach().movedim(1, -1).flatten(1).contiguous())
        self.register_buffer("bias", bias_of(layer).repeat(layer.weight[0, 0].numel()))

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        x = channels_last(x)
        larger = [size * times for size, times in zip(x.shape[2:], self.stride, strict=True)]
        answer = empty(x, self.out_channels, larger) if onto is None else channels_last(onto)
        for image, made in zip(x.movedim(1, -1), answer.movedim(1, -1), strict=True):
            self._one(image, made, onto is not None)
        return answer

    def _one(self, x: Tensor, answer: Tensor, added: bool) -> None:
        places = self._places(answer, x)

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                there = places[here]
                made = torch.addmm(self.bias, x[here].flatten(0, -2), self.weight)
                made = self._in_order(made, x[here])
                there.add_(made) if added else there.copy_(made)

        parallel.share(work, len(x), max(1, _BYTES * len(x) // (answer.numel() * answer.element_size())))

    def _places(self, answer: Tensor, x: Tensor) -> Tensor:
        """(k, K, j, J, i, I, O) of `answer` (k K, j J, i I, O), whose voxel (k K + a, ...) comes from (k, ...)."""
        pairs = [size for pair in zip(x.shape[:-1], self.stride, strict=True) for size in pair]
        return answer.view(*pairs, self.out_channels)

    def _in_order(self, made: Tensor, x: Tensor) -> Tensor:
        """(k, K, j, J, i, I, O) of a product's rows (k j i, K J I O)."""
        axes = len(self.stride)
        order = [axis for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for axis in pair]
        return made.view(*x.shape[:-1], *self.stride, self.out_channels).permute(*order, 2 * axes)

"""A network's entrance, a few slices at a time: a convolution of few channels, alone or with what follows.

It takes less time than to write and read what it makes, which is the widest activation of all. So in front of
InstanceNorm -> LeakyReLU -> the next layers' *first* it runs twice: once for the norm's statistics, and once more, with
the norm in its weights, for what the next layers take.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import arithmetic, parallel
from .arithmetic import Arithmetic
from .channels_last import empty, matrix
from .convolution import onednn
from .fused_block import Norm, scale_and_shift
from .pointwise import Matrix, bias_of

_BYTES = 1 << 22
"""Bytes of the wide activation that a core makes at a time."""


class SlicedBlock(nn.Module):
    """(N, I, *spatial) to a tuple with (N, K, *spatial) for each of `consumers`, channels last in memory.

    Args:
        layer: a convolution with numbers for its padding, of stride 1 along the first axis.
        norm: of its outputs; None for none.
        slope: of the LeakyReLU after it, for negative values; 1 for no activation.
        consumers: pointwise convolutions of its outputs; None stands for the activation itself.
        by: how the arithmetic is done; the usual way where none is given.
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.Conv3d,
        norm: Norm | None,
        slope: float,
        consumers: Sequence[nn.Conv2d | nn.Conv3d | None],
        by: Arithmetic | None = None,
    ) -> None:
        super().__init__()
        self.layer, self.norm, self.slope = layer, norm, slope
        self._consumers = [Matrix(consumer, layer.out_channels) for consumer in consumers]
        self._arithmetic = by or arithmetic.usual()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        made = [self._one(image[None]) for image in x]
        return tuple(torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*made, strict=True))

    def _one(self, x: Tensor) -> tuple[Tensor, ...]:
        slices = _Slices(self.layer, x)
        weight, bias = self._folded(slices)
        answers = tuple(empty(slices.like, consumer.width) for consumer in self._consumers)
        rows = [matrix(answer[0]) for answer in answers]

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                wide = matrix(slices.made(here, weight, bias)[0])
                if self.slope != 1:
                    functional.leaky_relu_(wide, self.slope)
                for consumer, answer in zip(self._consumers, rows, strict=True):
                    consumer.into(wide, answer[slices.rows(here)])

        slices.share(work)
        return answers

    def _folded(self, slices: "_Slices") -> tuple[Tensor, Tensor]:
        """The convolution's weight and bias, with the norm in them."""
        weight, bias = self.layer.weight.detach(), bias_of(self.layer)
        if self.norm is None:
            return weight, bias
        about = matrix(slices.made(slice(0, 1), weight, bias)[0]).mean(0)
        sums: dict[int, Tensor] = {}

        def work(parts: Iterator[slice], _: int) -> None:
            sums_of = self._arithmetic.spread_sums(about)
            for here in parts:
                sums[here.start] = sums_of(matrix(slices.made(here, weight, bias)[0]))

        slices.share(work)
        offset, squares = parallel.in_order(sums) / slices.voxels
        scale, shift = scale_and_shift(self.norm, about + offset, squares - offset.square())
        folded = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).to(weight.dtype)
        return folded, (bias * scale + shift).to(weight.dtype)


class _Slices:
    """One image (1, I, *spatial), and what `layer` makes of any of its slices along the first axis."""

    def __init__(self, layer: nn.Conv2d | nn.Conv3d, x: Tensor) -> None:
        first, *others = padding = [int(size) for size in layer.padding]
        self._layer = layer
        self._beside = layer.dilation[0] * (layer.kernel_size[0] - 1)
        self._padding = (0, *others)
        self._x = functional.pad(x, (*[0] * (2 * len(others)), first, first))
        shape = [
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, padding, dilation, kernel, stride in zip(
                x.shape[2:], padding, layer.dilation, layer.kernel_size, layer.stride, strict=True
            )
        ]
        self.like = x.new_empty(()).expand(1, 1, *shape)
        self._count, self._each = shape[0], self.like[0, 0, 0].numel()
        self.voxels = self._count * self._each

    def share(self, work: parallel.Work) -> None:
        bytes_of_one = self._each * self._layer.out_channels * self._x.element_size()
        parallel.share(work, self._count, max(1, _BYTES // bytes_of_one))

    def rows(self, here: slice) -> slice:
        return slice(here.start * self._each, here.stop * self._each)

    def made(self, here: slice, weight: Tensor, bias: Tensor) -> Tensor:
        seen = self._x[:, :, here.start : here.stop + self._beside]
        return onednn(self._layer, seen, weight, bias, self._padding)

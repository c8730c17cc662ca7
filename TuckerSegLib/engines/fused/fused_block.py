"""The fused block: *last* -> InstanceNorm -> LeakyReLU -> the next layers' *first*, the wide activation never whole.

The core's output z is narrow, what *last* makes of it wide. With y = W z + b over all voxels of a patch,

    mean(y) = W mean(z) + b    and    var(y) = diag(W Cov(z) W^T),

so InstanceNorm's statistics follow exactly from z, its scale and shift go into W and b, and all that remains is done
tile by tile (`tiles`), by a kernel made for the block (`kernels`) or, without llvmlite, by PyTorch's own operations.
Channels lie last in memory: a patch is a matrix (voxels, channels).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...decomposition.tucker import Convolution
from . import kernels, llvm, parallel
from .channels_last import channels_last, empty, matrix

Norm = nn.InstanceNorm2d | nn.InstanceNorm3d

_SAMPLE = 1024
"""Voxels whose mean is subtracted before squaring, so that a large mean does not cost digits of the variance."""

_WIDEST_MOMENTS = 48
"""Channels up to which a kernel is faster than a library at their covariance."""

_NARROWEST_MOMENTS = 64
"""Channels that a library's tiles are made for at least: over more rows of equal numbers its sums would drift."""


class FusedBlock(nn.Module):
    """(N, R, *spatial) to a tuple with (N, K, *spatial) for each of `consumers`, channels last in memory.

    Args:
        last: a pointwise convolution from R to C channels.
        norm: of its C outputs; None for none.
        slope: of the LeakyReLU after it, for negative values.
        consumers: pointwise convolutions from C channels; None stands for the activation itself.
        compiled: whether kernels are used, where they are available.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        last: Convolution,
        norm: Norm | None,
        slope: float,
        consumers: Sequence[Convolution | None],
        compiled: bool = True,
    ) -> None:
        super().__init__()
        self.norm, self.slope = norm, slope
        self.register_buffer("weight", last.weight.detach().flatten(1))
        self.register_buffer("bias", bias_of(last))
        self._consumers = [Matrix(consumer, len(self.weight)) for consumer in consumers]
        self._kernel: kernels.BlockKernel | None = None
        if compiled and llvm.available():
            widths = tuple(consumer.width if consumer.terms else 0 for consumer in self._consumers)
            self._kernel = kernels.BlockKernel(self.weight.shape[1], len(self.weight), slope, widths)
            self._terms = [consumer.padded() for consumer in self._consumers]

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        z = channels_last(z)
        answers = tuple(empty(z, consumer.width) for consumer in self._consumers)
        for index in range(len(z)):
            one = matrix(z[index])
            work = self._by_kernel if self._kernel else self._by_torch
            work(one, *self._folded(one), [matrix(answer[index]) for answer in answers])
        return answers

    def _by_kernel(self, z: Tensor, weight: Tensor, shift: Tensor, answers: Sequence[Tensor]) -> None:
        assert self._kernel is not None
        kernel, weight, shift = self._kernel, kernels.padded(weight), kernels.padded(shift)
        nexts = [terms or (weight, shift) for terms in self._terms]

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                parts_of = [(*two, answer[here]) for two, answer in zip(nexts, answers, strict=True)]
                kernel(z[here], weight, shift, parts_of)

        parallel.run(work, z)

    def _by_torch(self, z: Tensor, weight: Tensor, shift: Tensor, answers: Sequence[Tensor]) -> None:
        def work(parts: Iterator[slice], rows: int) -> None:
            buffer = z.new_empty((rows, len(shift)))
            for here in parts:
                part = z[here]
                wide = torch.addmm(shift, part, weight, out=buffer[: len(part)])
                functional.leaky_relu_(wide, self.slope)
                for consumer, answer in zip(self._consumers, answers, strict=True):
                    consumer.into(wide, answer[here])

        parallel.run(work, z, len(shift))

    def _folded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """*last* with the norm in it: a matrix (R, C) and a shift (C,)."""
        if self.norm is None:
            return self.weight.T.contiguous(), self.bias
        mean, covariance = moments(z, self._kernel is not None)
        weight = self.weight.double()
        variance = ((weight @ covariance) * weight).sum(1)
        scale, shift = scale_and_shift(self.norm, weight @ mean, variance)
        return (weight * scale[:, None]).T.to(z.dtype).contiguous(), shift.to(z.dtype)


class WideNorm(nn.Module):
    """InstanceNorm and LeakyReLU on what is wide already, (N, C, *spatial), channels last in memory.

    Args:
        slope: for negative values; 1 for no activation.
        in_place: whether the input may be overwritten.
        compiled: whether kernels are used, where they are available.
    """

    def __init__(self, norm: Norm, slope: float, in_place: bool, compiled: bool = True) -> None:
        super().__init__()
        self.norm, self.slope, self._in_place = norm, slope, in_place
        compiled = compiled and llvm.available()
        self._kernel = kernels.ActivationKernel(norm.num_features, slope) if compiled else None

    def forward(self, x: Tensor) -> Tensor:
        y = channels_last(x)
        if y.data_ptr() == x.data_ptr() and not self._in_place:
            y = y.clone(memory_format=torch.preserve_format)
        for image in y:
            self._one(matrix(image))
        return y

    def _one(self, y: Tensor) -> None:
        mean, variance = spread(y, self._kernel is not None)
        scale, shift = scale_and_shift(self.norm, mean, variance)
        scale, shift = scale.to(y.dtype), shift.to(y.dtype)
        if self._kernel:
            scale, shift = kernels.padded(scale), kernels.padded(shift)

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                if self._kernel:
                    self._kernel(y[here], scale, shift)
                else:
                    functional.leaky_relu_(y[here].mul_(scale).add_(shift), self.slope)

        parallel.run(work, y, None if self._kernel else y.shape[1])


class Matrix:
    """A pointwise convolution as a matrix product; of None, what leaves the `channels` as they are."""

    def __init__(self, layer: Convolution | None, channels: int) -> None:
        self.width = layer.out_channels if layer else channels
        self.terms = (layer.weight.detach().flatten(1).T.contiguous(), bias_of(layer)) if layer else None

    def into(self, x: Tensor, answer: Tensor) -> None:
        if self.terms is None:
            answer.copy_(x)
        else:
            weight, bias = self.terms
            torch.addmm(bias, x, weight, out=answer)

    def padded(self) -> tuple[Tensor, Tensor] | None:
        return self.terms and (kernels.padded(self.terms[0]), kernels.padded(self.terms[1]))


def scale_and_shift(norm: Norm, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """What the norm does to numbers of this mean and variance, (C,) each, in double precision."""
    scale = (variance.clamp(min=0) + norm.eps).rsqrt()
    if not norm.affine:
        return scale, -scale * mean
    scale = scale * norm.weight
    return scale, norm.bias - scale * mean


def moments(z: Tensor, compiled: bool = True) -> tuple[Tensor, Tensor]:
    """Mean (R,) and covariance (R, R) over the rows of `z` (voxels, R), summed in double precision tile by tile."""
    about = _about(z)
    if compiled and len(about) <= _WIDEST_MOMENTS:
        total = _mean(z, lambda _: _kernel_sums(kernels.moments_kernel(len(about)), about))
    else:
        total = _mean(z, lambda rows: _torch_moments(about, rows), max(_NARROWEST_MOMENTS, len(about)))
    mean = about + total[0]
    return mean, total[1:] - torch.outer(mean, total[0])


def spread(y: Tensor, compiled: bool = True) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over the rows of `y` (voxels, C), summed in double precision tile by tile."""
    about = _about(y)
    offset, squares = _mean(y, lambda _: sums_of_spread(about, compiled), len(about))
    return about + offset, squares - offset.square()


def sums_of_spread(about: Tensor, compiled: bool) -> Callable[[Tensor], Tensor]:
    """Makes, of some rows, (2, C): the sums of their differences from `about` (C,), and of those squared."""
    return _kernel_sums(kernels.spread_kernel(len(about)), about) if compiled else partial(_torch_spread, about)


def _about(y: Tensor) -> Tensor:
    """Near the mean of the rows."""
    return y[:: max(1, len(y) // _SAMPLE)].mean(0)


def _mean(y: Tensor, sums_of: Callable[[int], Callable[[Tensor], Tensor]], width: int | None = None) -> Tensor:
    """Of all rows, from sums over those of each tile: `sums_of` gives what makes them, for tiles of at most so many."""
    sums: list[Tensor] = []

    def work(parts: Iterator[slice], rows: int) -> None:
        tile_sums = sums_of(rows)
        sums.extend(tile_sums(y[here]) for here in parts)

    parallel.run(work, y, width)
    return torch.stack(sums).sum(0) / len(y)


def _kernel_sums(kernel: kernels.SumsKernel, about: Tensor) -> Callable[[Tensor], Tensor]:
    centre = kernels.padded(about)
    sums = centre.new_empty((kernel.rows, len(centre)))

    def of(part: Tensor) -> Tensor:
        kernel(part, centre, sums)
        return sums[:, : len(about)].double()

    return of


def _torch_moments(about: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    buffer, ones = about.new_empty((rows, len(about))), about.new_ones((rows, 1))

    def of(part: Tensor) -> Tensor:
        centred = torch.sub(part, about, out=buffer[: len(part)])
        return torch.cat([ones[: len(part)].T @ centred, part.T @ centred]).double()

    return of


def _torch_spread(about: Tensor, part: Tensor) -> Tensor:
    centred = part - about
    return torch.stack([centred.sum(0), centred.square_().sum(0)]).double()


def bias_of(layer: Convolution) -> Tensor:
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()

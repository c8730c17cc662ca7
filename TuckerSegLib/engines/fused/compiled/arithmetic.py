"""The blocks' arithmetic by kernels that are compiled for their very numbers of channels."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from .. import parallel
from ..plain import Plain
from ..pointwise import Matrix
from . import kernels

_WIDEST_MOMENTS = 48
"""Channels up to which a kernel is faster than a library at their covariance."""


class Compiled:
    """Implements `Arithmetic`."""

    def block(self, rank: int, channels: int, slope: float, consumers: Sequence[Matrix]) -> "_Block":
        return _Block(rank, channels, slope, consumers)

    def scaling(self, channels: int, slope: float) -> "_Scaling":
        return _Scaling(channels, slope)

    def moments(self, z: Tensor, about: Tensor) -> Tensor:
        if len(about) > _WIDEST_MOMENTS:
            return Plain().moments(z, about)
        return parallel.mean(z, lambda _: _sums(kernels.moments_kernel(len(about)), about))

    def spread_sums(self, about: Tensor) -> parallel.Sums:
        return _sums(kernels.spread_kernel(len(about)), about)


class _Block:
    def __init__(self, rank: int, channels: int, slope: float, consumers: Sequence[Matrix]) -> None:
        widths = tuple(consumer.width if consumer.terms else 0 for consumer in consumers)
        self._kernel = kernels.BlockKernel(rank, channels, slope, widths)
        self._terms = [consumer.terms and tuple(map(kernels.padded, consumer.terms)) for consumer in consumers]

    def __call__(self, z: Tensor, weight: Tensor, shift: Tensor, answers: Sequence[Tensor]) -> None:
        weight, shift = kernels.padded(weight), kernels.padded(shift)
        nexts = [terms or (weight, shift) for terms in self._terms]

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                parts_of = [(matrix, bias, answer[here]) for (matrix, bias), answer in zip(nexts, answers, strict=True)]
                self._kernel(z[here], weight, shift, parts_of)

        parallel.run(work, z)


class _Scaling:
    def __init__(self, channels: int, slope: float) -> None:
        self._kernel = kernels.ActivationKernel(channels, slope)

    def __call__(self, y: Tensor, scale: Tensor, shift: Tensor) -> None:
        scale, shift = kernels.padded(scale), kernels.padded(shift)

        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                self._kernel(y[here], scale, shift)

        parallel.run(work, y)


def _sums(kernel: kernels.SumsKernel, about: Tensor) -> parallel.Sums:
    centre = kernels.padded(about)
    sums = centre.new_empty((kernel.rows, len(centre)))

    def of(part: Tensor) -> Tensor:
        kernel(part, centre, sums)
        return sums[:, : len(about)].double()

    return of

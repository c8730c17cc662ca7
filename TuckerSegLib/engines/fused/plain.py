"""The blocks' arithmetic by PyTorch's own operations, tile by tile: for computers without llvmlite."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from . import parallel
from .pointwise import Matrix

_NARROWEST_MOMENTS = 64
"""Channels that tiles are made for at least: over more rows of equal numbers the sums would drift."""


class Plain:
    """Implements `Arithmetic`."""

    def block(self, rank: int, channels: int, slope: float, consumers: Sequence[Matrix]) -> "_Block":
        return _Block(slope, consumers)

    def scaling(self, channels: int, slope: float) -> "_Scaling":
        return _Scaling(slope)

    def moments(self, z: Tensor, about: Tensor) -> Tensor:
        return parallel.mean(z, partial(_moments, about), max(_NARROWEST_MOMENTS, len(about)))

    def spread_sums(self, about: Tensor) -> parallel.Sums:
        return partial(_spread, about)


class _Block:
    def __init__(self, slope: float, consumers: Sequence[Matrix]) -> None:
        self._slope, self._consumers = slope, consumers

    def __call__(self, z: Tensor, weight: Tensor, shift: Tensor, answers: Sequence[Tensor]) -> None:
        def work(parts: Iterator[slice], rows: int) -> None:
            buffer = z.new_empty((rows, len(shift)))
            for here in parts:
                part = z[here]
                wide = torch.addmm(shift, part, weight, out=buffer[: len(part)])
                functional.leaky_relu_(wide, self._slope)
                for consumer, answer in zip(self._consumers, answers, strict=True):
                    consumer.into(wide, answer[here])

        parallel.run(work, z, len(shift))


class _Scaling:
    def __init__(self, slope: float) -> None:
        self._slope = slope

    def __call__(self, y: Tensor, scale: Tensor, shift: Tensor) -> None:
        def work(parts: Iterator[slice], _: int) -> None:
            for here in parts:
                functional.leaky_relu_(y[here].mul_(scale).add_(shift), self._slope)

        parallel.run(work, y, y.shape[1])


def _moments(about: Tensor, rows: int) -> parallel.Sums:
    buffer, ones = about.new_empty((rows, len(about))), about.new_ones((rows, 1))

    def of(part: Tensor) -> Tensor:
        centred = torch.sub(part, about, out=buffer[: len(part)])
        return torch.cat([ones[: len(part)].T @ centred, part.T @ centred]).double()

    return of


def _spread(about: Tensor, part: Tensor) -> Tensor:
    centred = part - about
    return torch.stack([centred.sum(0), centred.square_().sum(0)]).double()

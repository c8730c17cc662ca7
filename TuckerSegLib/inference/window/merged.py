"""The answers of two networks as one: what the second says holds where its patches weigh more.

Heads are linear, so the features of both, each times its share, are the features of one longer head.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from ..head import Head

_TINY = 1e-30


class Features(Protocol):
    """What a network gives for an image, (F, *spatial): a tensor, or something that makes parts of one when asked."""

    @property
    def shape(self) -> torch.Size: ...

    def __getitem__(self, index: Any) -> Tensor: ...


class Merged:
    """Features (F1 + F2 + 2, *spatial) of two networks, whose shares add up to 1 in each voxel; see `merged_head`.

    Args:
        first: the first network's weighted mean over all patches, (F1, *spatial).
        second: the sum over the patches that the second network ran on, each times its weight, (F2, *spatial).
        weights: the sum of those weights, (*spatial).
        total: the sum of all patches' weights, (*spatial).
    """

    def __init__(self, first: Features, second: Features, weights: Tensor, total: Tensor) -> None:
        self._first, self._second, self._weights, self._total = first, second, weights, total

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self._first.shape[0] + self._second.shape[0] + 2, *self._second.shape[1:]))

    def __getitem__(self, index: tuple[slice, ...]) -> Tensor:
        """Some voxels' features; `index` begins with all of them."""
        weights = self._weights[index[1:]]
        share = _share(weights / self._total[index[1:]])[None]
        second = self._second[index] * (share / weights.clamp(min=_TINY))
        return torch.cat([self._first[index].float() * (1 - share), second, 1 - share, share])


def merged_head(first: Head, second: Head) -> Head:
    """The head of `Merged` features: each network's own on its share."""
    weight = torch.cat([first.weight, second.weight, first.bias[:, None], second.bias[:, None]], 1)
    return Head(weight, torch.zeros_like(first.bias))


def _share(covered: Tensor) -> Tensor:
    """Steeper than `covered`: a network that is wrong is hardly heard where the other covers most, and the reverse."""
    return torch.where(covered < 0.5, 4 * covered**3, 1 - 4 * (1 - covered) ** 3)

"""Where the patches of nnU-Net's sliding window lie on an image, and what each of them weighs there."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...models.quiet import quiet

with quiet():
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

Place = tuple[Any, ...]
"""Indices of a patch in an image (C, *spatial)."""


class Places:
    """The patches on a preprocessed image of `shape` (C, *spatial), `step` of their size apart.

    The image lies in the middle of zeros where it is smaller than a patch: `shape` (C, *spatial) is then the larger
    one's, and `inside` the image in it. The patches of a 2D model lie in every slice along the first axis.
    """

    def __init__(self, shape: Sequence[int], patch_size: Sequence[int], step: float) -> None:
        self._patch_size = tuple(patch_size)
        others = len(shape) - len(patch_size)
        missing = [max(0, wanted - size) for wanted, size in zip(patch_size, shape[others:], strict=True)]
        self._missing = missing
        self.shape = (*shape[:others], *(size + more for size, more in zip(shape[others:], missing, strict=True)))
        before = [0] * others + [count // 2 for count in missing]
        within = [slice(start, start + size) for start, size in zip(before, shape, strict=True)]
        self.inside: Place = (slice(None), *within[1:])
        self._all = self._places(step)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Place:
        return self._all[index]

    def padded(self, data: Tensor) -> Tensor:
        """The image with its zeros around it."""
        return functional.pad(data, [end for n in reversed(self._missing) for end in (n // 2, n - n // 2)])

    def weight(self, home: torch.device) -> Tensor:
        """What each voxel of a patch weighs in the mean over patches, (*patch)."""
        weight: Tensor = compute_gaussian(self._patch_size, sigma_scale=1 / 8, value_scaling_factor=10, device=home)
        return weight

    def weights(self, chosen: Sequence[int]) -> Tensor:
        """The sum of these patches' weights in each voxel of `shape`, (*spatial)."""
        weight, total = self.weight(torch.device("cpu")), torch.zeros(self.shape[1:])
        for index in chosen:
            total[self[index][1:]] += weight
        return total

    @cached_property
    def owners(self) -> Tensor:
        """The patch that weighs most in each voxel of the image, (*image's spatial)."""
        weight = self.weight(torch.device("cpu"))
        most = torch.zeros(self.shape[1:], dtype=weight.dtype)
        owners = torch.zeros(self.shape[1:], dtype=torch.int32)
        for index, place in enumerate(self._all):
            there = most[place[1:]]
            owners[place[1:]][weight > there] = index
            torch.maximum(there, weight, out=there)
        return owners[self.inside[1:]]

    def _places(self, step: float) -> list[Place]:
        spatial = self.shape[1:]
        slices = len(spatial) - len(self._patch_size)
        steps = compute_steps_for_sliding_window(tuple(spatial[slices:]), self._patch_size, step)
        starts = product(*map(range, spatial[:slices]), *steps)
        return [(slice(None), *start[:slices], *self._from(start[slices:])) for start in starts]

    def _from(self, corner: Sequence[int]) -> list[slice]:
        return [slice(first, first + size) for first, size in zip(corner, self._patch_size, strict=True)]

"""Resampling of an image as nnU-Net does it, by splines, one axis after the other.

scipy weighs 64 voxels for each new one. But a spline is linear and the product of one along each axis, so that what
scipy makes of unit vectors, a matrix for each axis, makes of an image what scipy does: up to rounding errors of double
precision, and far faster.
"""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from .interpolation import nearest

Image = npt.NDArray[np.float32]

_NOTHING = 1e-18
"""A weight that no sum in double precision sees."""

_ROWS = 64
"""New voxels along an axis for which all old ones that weigh anything are taken together."""

_SLAB = 1 << 22
"""Voxels that are in double precision at a time, besides those between the last two axes."""


def resized(image: Image, shape: Sequence[int], order: int) -> Image:
    """An image (*spatial) on a grid of another `shape` and the same extent, by splines of this order.

    What skimage's `resize(image, shape, order, mode="edge", anti_aliasing=False)` gives: beyond its borders the image
    goes on as it is there, and no new voxel is outside the range of the old ones.
    """
    first, *others = (_weights(old, new, order) for old, new in zip(image.shape, shape, strict=True))
    between = torch.empty((len(image), *shape[1:]), dtype=torch.double)
    for some, slab in _slabs(image):
        between[some] = _in_planes(slab, others)
    flat, found = between.flatten(1), torch.empty(tuple(shape))
    width = max(1, _SLAB // len(first))
    for start in range(0, flat.shape[1], width):
        columns = slice(start, start + width)
        found.flatten(1)[:, columns] = _along(0, first, flat[:, columns])
    resampled: Image = found.clamp_(float(image.min()), float(image.max())).numpy()
    return resampled


def resized_in_planes(image: Image, shape: Sequence[int], order: int, axis: int) -> Image:
    """The same by splines within the planes across `axis` alone, and the nearest plane along it.

    What nnU-Net does where planes are far apart; no new voxel is outside the range of its plane's.
    """
    planes = np.moveaxis(image, axis, 0)[nearest(image.shape[axis], shape[axis])]
    across = [(old, new) for one, (old, new) in enumerate(zip(image.shape, shape, strict=True)) if one != axis]
    weights = [_weights(old, new, order) for old, new in across]
    found = torch.empty((len(planes), *(new for _, new in across)))
    for some, slab in _slabs(planes):
        found[some] = _in_planes(slab, weights).clamp(slab.amin((1, 2), True), slab.amax((1, 2), True))
    return np.ascontiguousarray(np.moveaxis(found.numpy(), 0, axis))


def _slabs(image: Image) -> Iterator[tuple[slice, Tensor]]:
    """Some planes at a time, in double precision."""
    depth = max(1, _SLAB // max(1, image[0].size))
    for start in range(0, len(image), depth):
        some = slice(start, start + depth)
        yield some, torch.from_numpy(image[some].astype(np.float64))


def _in_planes(slab: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The weights of each axis but the first applied to it."""
    for axis, one in enumerate(weights, 1):
        slab = _along(axis, one, slab)
    return slab


def _weights(old: int, new: int, order: int) -> Tensor:
    """What each of `old` voxels in a row weighs in each new one, (new, old)."""
    if old == new:
        return torch.eye(old, dtype=torch.double)
    zoomed = [ndimage.zoom(unit, new / old, order=order, mode="nearest", grid_mode=True) for unit in np.eye(old)]
    return torch.from_numpy(np.stack(zoomed, 1))


def _along(axis: int, weights: Tensor, image: Tensor) -> Tensor:
    """`weights` (new, old) applied to an axis of `image`, only to what weighs anything."""
    parts = []
    for rows in weights.split(_ROWS):
        there = (rows.abs() > _NOTHING).any(0).nonzero()
        low, high = int(there[0]), int(there[-1]) + 1
        parts.append(_product(axis, rows[:, low:high], image.narrow(axis, low, high - low)))
    return torch.cat(parts, axis)


def _product(axis: int, weights: Tensor, image: Tensor) -> Tensor:
    if axis == 0:
        return torch.tensordot(weights, image, 1)  # type: ignore[no-any-return]
    factors = (image, weights.T) if axis == image.ndim - 1 else (weights, image)
    product: Tensor = torch.matmul(*factors)
    return product

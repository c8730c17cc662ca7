"""A tilted or uneven stack of slices -> a straight and even one, by linear interpolation.

Each slice is first moved within its plane to where the others are, then slices are interpolated along their normal. The
grid grows to hold all slices; where nothing was measured, it has the slice's lowest value.
"""

# mypy: allow-untyped-calls

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..formats.contents import Voxels
from ..volume import Geometry
from .stack import Array, Stack

Array32 = npt.NDArray[np.float32]


def straightened(voxels: Voxels, stack: Stack) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I) of the slices in `stack`, resampled to a straight grid of its spacing, and that grid."""
    lowest = np.floor(stack.places[:, :2].min(axis=0)).astype(int)
    highest = np.ceil(stack.places[:, :2].max(axis=0)).astype(int)
    columns, rows = voxels.shape[2] + highest[0] - lowest[0], voxels.shape[1] + highest[1] - lowest[1]
    moved = np.empty((len(voxels), rows, columns), np.float32)
    for plane, values, (i, j, _) in zip(moved, voxels, stack.places, strict=True):
        offset = (lowest[1] - j, lowest[0] - i)
        ndimage.affine_transform(
            values.astype(np.float32), np.ones(2), offset, plane.shape, plane, order=1, cval=float(values.min())
        )
    even = _evenly(moved, stack.places[:, 2])
    whole = np.rint(even).astype(voxels.dtype) if voxels.dtype.kind in "iu" else even
    return whole, _grid(stack.geometry, whole.shape, lowest)


def _evenly(planes: Array32, heights: Array) -> Array32:
    """Planes at the heights 0, 1, 2 and so on, from those at `heights`, which increase."""
    wanted = np.arange(int(np.floor(heights[-1] + 1e-3)) + 1)
    above = np.clip(np.searchsorted(heights, wanted), 1, len(heights) - 1)
    share = np.clip((wanted - heights[above - 1]) / np.diff(heights)[above - 1], 0, 1).astype(np.float32)
    even: Array32 = planes[above - 1] * (1 - share)[:, None, None] + planes[above] * share[:, None, None]
    return even


def _grid(first: Geometry, shape: tuple[int, ...], lowest: Array) -> Geometry:
    matrix = first.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :2] @ lowest
    return Geometry((shape[0], shape[1], shape[2]), matrix)

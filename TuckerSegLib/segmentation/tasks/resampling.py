"""What TotalSegmentator's `change_spacing` makes of images and labels, voxel for voxel, without its copies of them.

That makes eight bytes of every voxel first, for a large CT more than all its networks need.
"""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from ...inference.shared_images import made_once
from ...models.totalsegmentator.tasks import Spacing
from .nibabel_images import Labels


def to_spacing(image: Nifti1Image, spacing: Spacing, order: int, dtype: type[np.generic]) -> Nifti1Image:
    """The image (I, J, K) on a grid of `spacing` mm between the same first and last voxels; `order` is 0 or 1."""
    if np.array_equal(image.header.get_zooms(), spacing):
        return image
    way = (tuple(spacing), order, np.dtype(dtype), image.affine.tolist())
    make = partial(_to_spacing, image, spacing, order, dtype)
    return made_once("resampled", np.asanyarray(image.dataobj), way, make)


def _to_spacing(image: Nifti1Image, spacing: Spacing, order: int, dtype: type[np.generic]) -> Nifti1Image:
    zoom = np.array(image.header.get_zooms()) / np.array(spacing)
    voxels = ndimage.zoom(np.asanyarray(image.dataobj), zoom, output=np.float64, order=order, mode="nearest")
    affine = image.affine.copy()
    affine[:3, :3] /= zoom
    return Nifti1Image(voxels.astype(dtype), affine)


def to_shape(labels: Labels, shape: Sequence[int]) -> Labels:
    """The nearest labels on a grid of that shape between the same first and last voxels."""
    return labels[np.ix_(*(_nearest(old, new) for old, new in zip(labels.shape, shape, strict=True)))]


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    """The old voxel for each new one."""
    step = (old - 1) / (new - 1) if new > 1 else 1.0
    nearest: npt.NDArray[np.intp] = np.floor(np.arange(new) * step + 0.5).astype(np.intp).clip(0, old - 1)
    return nearest

"""Volumes as the nibabel images that TotalSegmentator's functions take, and back; voxels are shared, not copied."""

# mypy: allow-untyped-calls

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Image

from ...volumes.volume import Geometry, Matrix, Volume

Labels = npt.NDArray[np.uint8]
"""A label map in nibabel's axis order, (I, J, K)."""

_NIFTI_TYPES = {np.dtype(name) for name in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")}


def image_of(volume: Volume) -> Nifti1Image:
    """The volume's first channel, (I, J, K), in RAS millimetres."""
    voxels = volume.voxels[0].T
    if voxels.dtype not in _NIFTI_TYPES:
        voxels = voxels.astype(np.float64)
    return Nifti1Image(voxels, volume.geometry.ijk_to_ras)


def volume_of(*images: Nifti1Image) -> Volume:
    """A volume with one channel an image, all on the first one's grid."""
    arrays = [np.asanyarray(image.dataobj).T for image in images]
    voxels = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    return Volume(voxels, Geometry(arrays[0].shape, images[0].affine))


def canonical(volume: Volume) -> Volume:
    """The volume with its axes in the order and direction closest to right, anterior, superior."""
    return volume_of(nibabel.as_closest_canonical(image_of(volume)))


def with_labels(labels: Labels, affine: Matrix) -> Nifti1Image:
    return Nifti1Image(labels, affine)


def labels_of(image: Nifti1Image) -> Labels:
    """The image's voxels as labels."""
    labels: Labels = np.asanyarray(image.dataobj).astype(np.uint8, copy=False)
    return labels


def spacing_of(image: Nifti1Image) -> tuple[float, float, float]:
    """Millimetres along (i, j, k), in single precision as a NIfTI header has them."""
    i, j, k = image.header.get_zooms()
    return float(i), float(j), float(k)

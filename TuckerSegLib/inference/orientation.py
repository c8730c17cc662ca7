"""A volume in the orientation that nnU-Net's image readers would have read it in, made in memory.

A model expects its images in the axis order and with the spacing of the reader it was trained with.
"""

# mypy: allow-untyped-calls

from collections.abc import Callable
from dataclasses import dataclass

import nibabel.orientations as orientations
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from ..errors import ModelError
from ..volumes.volume import Geometry, Volume

Image = npt.NDArray[np.generic]

Labels = npt.NDArray[np.unsignedinteger]

_RAS = orientations.axcodes2ornt("RAS")

_ROUNDING_ERRORS = 4
"""Units in the last place by which a spacing may differ from the one that was written."""


@dataclass(frozen=True)
class ReadImage:
    """An image as a reader hands it on: `voxels` (C, z, y, x), `spacing` in mm along (z, y, x).

    `restore` brings a label map on its grid, (z, y, x), back to the volume's (K, J, I). The voxels keep
    their type: nnU-Net's preprocessing makes single precision of them, in a copy.
    """

    voxels: Image
    spacing: list[float]
    restore: Callable[[Labels], Labels]


def read(volume: Volume, reader: str) -> ReadImage:
    """The volume as nnU-Net's `reader`, named as in the plans, would have read it.

    Raises:
        ModelError: the reader does not read 3D medical images.
    """
    if reader not in _READERS:
        raise ModelError(
            f"The model reads its images with {reader}, which does not read 3D medical images: choose another model."
        )
    return _READERS[reader](volume)


def spacing_as_written(spacing: float) -> float:
    """A spacing without the rounding errors of its way through a matrix.

    nnU-Net rounds to whole voxels, so the last bit of a spacing can add or remove a whole slice.
    """
    for written in float(f"{spacing:.12g}"), float(np.float32(spacing)):
        if abs(written - spacing) <= _ROUNDING_ERRORS * np.spacing(spacing):
            return written
    return spacing


def _simple_itk(volume: Volume) -> ReadImage:
    spacing = [spacing_as_written(mm) for mm in reversed(volume.geometry.spacing)]
    return ReadImage(volume.voxels, spacing, lambda labels: labels)


def _simple_itk_reoriented(volume: Volume) -> ReadImage:
    geometry = volume.geometry
    channels = [sitk.DICOMOrient(_itk_image(channel, geometry), "RAS") for channel in volume.voxels]
    axes = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction_lps.ravel())
    to_ras = channels[0].GetDirection()

    def restore(labels: Labels) -> Labels:
        image = sitk.GetImageFromArray(labels)
        image.SetDirection(to_ras)
        restored: Labels = sitk.GetArrayFromImage(sitk.DICOMOrient(image, axes))
        return restored

    voxels = np.stack([sitk.GetArrayFromImage(channel) for channel in channels])
    return ReadImage(voxels, list(channels[0].GetSpacing())[::-1], restore)


def _itk_image(channel: npt.NDArray[np.generic], geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(channel)
    image.SetSpacing([spacing_as_written(mm) for mm in geometry.spacing])
    image.SetDirection(geometry.direction_lps.ravel())
    return image


def _nibabel(volume: Volume) -> ReadImage:
    spacing = [float(np.float32(mm)) for mm in reversed(volume.geometry.spacing)]
    return ReadImage(_as_nibabel_reads(volume.voxels), spacing, lambda labels: labels)


def _nibabel_reoriented(volume: Volume) -> ReadImage:
    affine = volume.geometry.ijk_to_ras.astype(np.float32).astype(np.float64)  # as a NIfTI header stores it
    found = orientations.io_orientation(affine)
    back = orientations.ornt_transform(_RAS, found)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[np.argsort(found[:, 0])]
    channels = [orientations.apply_orientation(channel.T, found).T for channel in volume.voxels]

    def restore(labels: Labels) -> Labels:
        restored: Labels = orientations.apply_orientation(labels.T, back).T
        return restored

    return ReadImage(_as_nibabel_reads(np.stack(channels)), [float(np.float32(mm)) for mm in spacing[::-1]], restore)


def _as_nibabel_reads(voxels: npt.NDArray[np.generic]) -> Image:
    """Integers of 64 bits in double precision, which nibabel hands on whatever the file holds."""
    return voxels.astype(np.float64) if voxels.dtype.kind in "iu" and voxels.dtype.itemsize > 4 else voxels


_READERS: dict[str, Callable[[Volume], ReadImage]] = {
    "SimpleITKIO": _simple_itk,
    "SimpleITKIOWithReorient": _simple_itk_reoriented,
    "Tiff3DIO": _simple_itk,
    "NibabelIO": _nibabel,
    "NibabelIOWithReorient": _nibabel_reoriented,
}

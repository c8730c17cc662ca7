"""Images of SimpleITK's as volumes."""

# mypy: allow-untyped-calls

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .volume import Geometry, Volume

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813


def volume_from_simpleitk(image: "sitk.Image | Any") -> Volume:
    """A copy of the image with one channel for each of its components; SimpleITK works in LPS.

    Raises:
        InputError: it is no image of SimpleITK's, or not a 3D one.
    """
    import SimpleITK as sitk  # noqa: N813

    if not isinstance(image, sitk.Image):
        raise InputError(
            f"{type(image).__name__} is no image: give a file, a DICOM folder, several of them, a Volume or a "
            "SimpleITK image."
        )
    if image.GetDimension() != 3:
        raise InputError(f"The image has {image.GetDimension()} dimensions: choose a single 3D volume.")
    voxels = sitk.GetArrayFromImage(image)
    channels = np.moveaxis(voxels, 3, 0) if voxels.ndim == 4 else voxels[None]
    k, j, i = channels.shape[1:]
    geometry = Geometry.from_lps((k, j, i), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return Volume(channels, geometry)

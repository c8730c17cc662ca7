"""Small images written by ITK and nibabel, independently of the product, and the question whether reading refuses."""

# mypy: allow-untyped-calls

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.geometries import SHAPE, oblique

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry, Matrix

FORMATS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")

VOXELS = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 50

Array = np.ndarray[Any, Any]


def image_on(geometry: Geometry, voxels: Array = VOXELS) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps.ravel().tolist())
    return image


def written(folder: Path, name: str, geometry: Geometry | None = None, voxels: Array = VOXELS) -> Path:
    sitk.WriteImage(image_on(geometry or oblique(), voxels), folder / name)
    return folder / name


def refused(path: Path | list[Path], *words: str) -> str:
    """Reading must raise one line that holds each of the words; gives that line."""
    with pytest.raises(InputError) as caught:
        read_volume(path if isinstance(path, list) else [path])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and "ITK" not in message
    return message


def edited(path: Path, old: bytes, new: bytes) -> Path:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    return path


def nifti(path: Path, change: Callable[[nibabel.Nifti1Header], None]) -> Path:
    """A NIfTI whose header says what no library writes."""
    header = nibabel.Nifti1Image(VOXELS.T, np.diag([1.0, 2.0, 3.0, 1.0])).header
    header["vox_offset"] = 352
    change(header)
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + VOXELS.tobytes()))
    return path


def set_field(name: str, value: object, where: object = ()) -> Callable[[nibabel.Nifti1Header], None]:
    return lambda header: header.structarr[name].__setitem__(where, value)


def stored_matrix(path: Path) -> Matrix:
    """The affine as nibabel understands it; of other formats as the product does."""
    if ".nii" in path.name:
        image = nibabel.load(path)
        assert isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image)
        matrix: Matrix = image.affine
        return matrix
    return read_volume([path]).geometry.ijk_to_ras

"""NRRD and MetaImage files, and what all of ITK's readers need: our words for its complaints, and its silence.

ITK's world is LPS millimetres and its indices are (i, j, k); its arrays as NumPy, and all arrays here, are (K, J, I).
"""

# mypy: allow-untyped-calls

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from ..errors import InputError
from .volume import Geometry

Voxels = npt.NDArray[np.generic]

Labels = npt.NDArray[np.unsignedinteger]

DAMAGED = "is damaged, cut off or not an image: copy or export it again"

COMPRESSION = 3
"""zlib's level: label maps hardly shrink further above it, and take far longer."""

_COMPLAINTS = {
    "Zero-valued spacing": "has a voxel spacing of zero: correct its header or export it again",
    "determinant is 0": "has singular axis directions: correct its header or export it again",
    "orthonormal": "has axes that are singular or not perpendicular: correct its header or resample it",
}

_stderr_lock = threading.Lock()


def complaint(error: Exception) -> str:
    """What is wrong with a file and what to do, from what a reader raised."""
    text = str(error)
    return next((advice for phrase, advice in _COMPLAINTS.items() if phrase in text), DAMAGED)


@contextmanager
def silent_itk() -> Iterator[None]:
    """Keeps ITK's and its libraries' own messages, some of which go straight to stderr, from the user."""
    with _stderr_lock:
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.GlobalWarningDisplayOff()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def open_grey_volume(path: Path, image_io: str) -> sitk.ImageFileReader:
    """ITK's reader for one 3D grey image, its header read.

    Raises:
        InputError: another number of dimensions, or several values a voxel.
        RuntimeError: the header is damaged.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    check_grey_volume(path, reader.GetDimension(), reader.GetNumberOfComponents(), min(reader.GetSize()))
    return reader


def check_grey_volume(path: Path, dimension: int, components: int, smallest_side: int) -> None:
    """
    Raises:
        InputError: the image at `path` is no 3D grey image with several slices.
    """
    if dimension != 3:
        raise InputError(f"{path} is a {dimension}D image: choose one 3D volume.")
    if components != 1:
        raise InputError(f"{path} has {components} values a voxel (a colour image?): convert it to grey.")
    if smallest_side < 2:
        raise InputError(f"{path} is a single slice: choose a volume with several.")


def geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """The grid of a 3D image, or of one whose header was read."""
    i, j, k = image.GetSize()
    return Geometry.from_lps((k, j, i), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def read_itk(path: Path, image_io: str) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I) and grid of a file ITK reads faithfully.

    Raises:
        InputError: the file is no 3D grey image.
        RuntimeError: the file is damaged.
    """
    image = open_grey_volume(path, image_io).Execute()
    return sitk.GetArrayFromImage(image), geometry_of(image)


def write_itk(labels: Labels, geometry: Geometry, path: Path) -> None:
    """Writes labels (K, J, I) in the format of the suffix.

    Raises:
        OSError: the file could not be written to its end.
    """
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps.ravel().tolist())
    try:
        with silent_itk():
            sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=COMPRESSION)
    except RuntimeError as error:  # ITK does not say why
        raise OSError(errno.EIO, "perhaps the disk is full") from error

"""A folder of DICOM files -> the one volume in it.

DICOM places voxels in LPS millimetres. A series is taken only if its slices are parallel, evenly spaced and stacked
along their normal: GDCM reads others too, and then puts voxels where they are not.
"""

# mypy: allow-untyped-calls

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from ..errors import InputError
from .itk import Voxels, check_grey_volume, geometry_of
from .volume import Geometry

_UNEVEN = 0.1
"""Share by which the steps between slices may differ; scanners round positions, a missing slice doubles a step."""

_STORAGE_CLASS = b"\x02\x00\x02\x00UI"

_TILT = 0.01
"""Millimetres that a stack of slices may drift sideways a millimetre of its height."""


@dataclass(frozen=True)
class Series:
    """One DICOM series: its files in spatial order, and what a user calls it."""

    uid: str
    files: tuple[str, ...]
    description: str
    frames: int

    def __str__(self) -> str:
        return f"{self.description} ({self.frames} {'slice' if self.frames == 1 else 'slices'})"


def read_dicom(folder: Path) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I), rescaled as the files say, and grid of the only series with several slices in `folder`.

    Folders below it are not searched.

    Raises:
        InputError: no such series, more than one, or one that does not form a volume.
        RuntimeError: a file is damaged.
    """
    found = _series_in(folder)
    series = _only_volume(folder, found)
    _check_complete(folder, series, found)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(series.files)
    reader.MetaDataDictionaryArrayUpdateOn()
    image: sitk.Image = reader.Execute()
    if len(series.files) > 1:
        _check_stack(series, [_placement(reader, index) for index in range(len(series.files))])
    check_grey_volume(folder, image.GetDimension(), image.GetNumberOfComponentsPerPixel(), min(image.GetSize()))
    return sitk.GetArrayFromImage(image), geometry_of(image)


def _series_in(folder: Path) -> list[Series]:
    uids = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    return [_series(folder, uid) for uid in uids]


def _series(folder: Path, uid: str) -> Series:
    files = tuple(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
    header = sitk.ImageFileReader()
    header.SetImageIO("GDCMImageIO")
    header.SetFileName(files[0])
    try:
        header.ReadImageInformation()
    except RuntimeError:  # a report, a plan, contours: DICOM without voxels
        return Series(uid, files, "not an image", 0)
    words = [header.GetMetaData(tag).strip() for tag in ("0008|0060", "0008|103e") if header.HasMetaDataKey(tag)]
    frames = header.GetSize()[2] if len(header.GetSize()) > 2 else 1
    return Series(uid, files, " ".join(filter(None, words)) or uid, frames * len(files))


def _only_volume(folder: Path, found: list[Series]) -> Series:
    images = [series for series in found if series.frames]
    volumes = [series for series in images if series.frames > 1]
    listed = "; ".join(map(str, volumes or images))
    if len(volumes) > 1:
        raise InputError(f"{folder} holds {len(volumes)} volumes, {listed}: put the files of one in their own folder.")
    if not volumes and images:
        raise InputError(f"{folder} holds no volume, only {listed}: choose the folder of a series with several slices.")
    if not volumes:
        raise InputError(f"{folder} holds no DICOM images: choose the folder that directly contains the slices.")
    return volumes[0]


def _check_complete(folder: Path, series: Series, found: list[Series]) -> None:
    """GDCM leaves out files it cannot read; those of the same kind as the slices would be missing ones."""
    kind = _storage_class(Path(series.files[0]))
    known = {Path(file).name for other in found for file in other.files}
    left_out = [path for path in folder.iterdir() if path.name not in known and path.is_file()]
    damaged = [path.name for path in left_out if kind and _storage_class(path) == kind]
    if damaged:
        raise InputError(f"{folder} has damaged DICOM files ({', '.join(sorted(damaged)[:3])}): copy them again.")


def _storage_class(path: Path) -> bytes:
    """What kind of object a DICOM file holds (its Media Storage SOP Class UID); empty if it is not said."""
    with path.open("rb") as file:
        start = file.read(512)
    place = start.find(_STORAGE_CLASS)
    if start[128:132] != b"DICM" or place < 0:
        return b""
    value = start[place + len(_STORAGE_CLASS) :]
    return value[2 : 2 + int.from_bytes(value[:2], "little")]


def _placement(reader: sitk.ImageSeriesReader, index: int) -> npt.NDArray[np.float64]:
    """(9,): the position of one slice in LPS mm, then the directions of its rows and columns."""
    try:
        text = "\\".join(reader.GetMetaData(index, tag) for tag in ("0020|0032", "0020|0037"))
        return np.array([float(number) for number in text.split("\\")]).reshape(9)
    except (RuntimeError, ValueError) as error:
        raise InputError("The DICOM files do not say where their slices lie: export the series again.") from error


def _check_stack(series: Series, placements: list[npt.NDArray[np.float64]]) -> None:
    positions, directions = np.stack(placements)[:, :3], np.stack(placements)[:, 3:]
    if np.ptp(directions, axis=0).max() > _TILT:
        raise InputError(f"The slices of {series} are not parallel: put those of one orientation in their own folder.")
    normal = np.cross(directions[0, :3], directions[0, 3:])
    heights = positions @ normal
    steps = np.diff(np.sort(heights))
    if steps.min() < 1e-3:
        raise InputError(f"Slices of {series} lie on each other: put those of one phase or echo in their own folder.")
    if np.abs(steps - np.median(steps)).max() > _UNEVEN * np.median(steps):
        raise InputError(f"The slices of {series} are not evenly spaced, some may be missing: export it completely.")
    drift = positions[-1] - positions[0] - (heights[-1] - heights[0]) * normal
    if np.linalg.norm(drift) > _TILT * steps.sum():
        raise InputError(f"The slices of {series} were taken with a tilted gantry: resample it to a straight volume.")

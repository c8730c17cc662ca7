"""A folder of DICOM files, a DICOMDIR or one file of a series -> the one volume in it.

DICOM places voxels in LPS millimetres. A series is taken only if its slices are parallel, evenly spaced and stacked
along their normal. What is said of a series names its modality and first file, never the patient's own data.
"""

# mypy: allow-untyped-calls

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset

from ...errors import InputError
from ..formats.contents import DAMAGED, Voxels, check_grey_volume
from ..volume import Geometry
from .frames import Frame, frames_of, is_localizer
from .headers import Headers, damage_refused, headers_in
from .pixels import voxels_of
from .stack import Stack, stacked
from .straightening import straightened

NO_IMAGES = ("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "REG", "PR", "KO", "SR", "DOC")
"""Modalities of objects that may have pixels and are no images of a patient."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Series:
    """The image files of one series, and the number of frames they hold."""

    headers: Mapping[Path, FileDataset]

    @property
    def frames(self) -> int:
        return sum(int(header.get("NumberOfFrames") or 1) for header in self.headers.values())

    def __str__(self) -> str:
        file, header = next(iter(self.headers.items()))
        slices = "1 slice" if self.frames == 1 else f"{self.frames} slices"
        return f"{header.get('Modality') or 'image'} ({slices} from {file.name})"


def read_dicom(path: Path, straighten: bool = False) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I), rescaled as each slice says, and grid of a series.

    Args:
        path: a folder with one series of several slices, a DICOMDIR, or any file of the series that is wanted.
        straighten: resample tilted and uneven stacks to a straight grid, where they would be refused otherwise.

    Raises:
        InputError: no such series, more than one, or one that does not form a volume.
        OSError: a file may not be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that break DICOM's rules and can be read all the same
        series, stack = series_of(path, straighten)
        with damage_refused(path):
            voxels = voxels_of(path, stack.frames, series.headers)
    return (voxels, stack.geometry) if stack.is_straight else straightened(voxels, stack)


def series_of(path: Path, straighten: bool = False) -> tuple[Series, Stack]:
    """The series that `path` stands for, and how its frames lie; its voxels are not read.

    Raises:
        InputError, OSError: as `read_dicom`.
    """
    with damage_refused(path):
        found = headers_in(path if path.is_dir() else path.parent)
        series = _wanted(path, found)
        _check_undamaged(found, series)
        return series, _stack(path, series, straighten)


def volumes_in(folder: Path) -> list[Path]:
    """What `read_dicom` takes for each volume whose files lie in `folder`: the folder, or a file of each of several.

    Raises:
        InputError, OSError: as `read_dicom`.
    """
    with warnings.catch_warnings(), damage_refused(folder):
        warnings.simplefilter("ignore")
        found = _series(headers_in(folder).readable)
        firsts = [next(iter(one.headers)) for one in found if one.frames > 1]
    return [folder] if len(firsts) == 1 and firsts[0].parent == folder else [f for f in firsts if f.parent == folder]


def _wanted(path: Path, found: Headers) -> Series:
    series = _series(found.readable)
    if path.is_dir() or path not in found.readable:
        return _only_volume(path, series)
    header = found.readable[path]
    if int(header.get("NumberOfFrames") or 1) > 1:
        return Series({path: header})
    of_file = [one for one in series if path in one.headers]
    if not of_file:
        raise InputError(f"{path} is no slice of a volume: choose a file of the series that is wanted.")
    return of_file[0]


def _series(readable: Mapping[Path, FileDataset]) -> list[Series]:
    """The series of images; overviews and screenshots among the slices of a series are left out."""
    grouped: dict[str, dict[Path, FileDataset]] = {}
    for path, header in readable.items():
        if "Rows" in header and header.get("Modality") not in NO_IMAGES:
            grouped.setdefault(str(header.SeriesInstanceUID), {})[path] = header
    return [Series(_slices(headers)) for headers in grouped.values()]


def _slices(headers: Mapping[Path, FileDataset]) -> Mapping[Path, FileDataset]:
    slices = {
        path: header
        for path, header in headers.items()
        if header.get("SOPClassUID") != _SECONDARY_CAPTURE and not is_localizer(header)
    }
    return _without_copies(slices or headers)


def _without_copies(headers: Mapping[Path, FileDataset]) -> Mapping[Path, FileDataset]:
    """One of each files that are equal to the last byte, as they are where a folder was copied into itself."""
    first: dict[str, Path] = {}
    kept: dict[Path, FileDataset] = {}
    for path, header in headers.items():
        other = first.setdefault(str(header.get("SOPInstanceUID")), path)
        if other == path or path.stat().st_size != other.stat().st_size or path.read_bytes() != other.read_bytes():
            kept[path] = header
    return kept


def _only_volume(path: Path, images: list[Series]) -> Series:
    volumes = [series for series in images if series.frames > 1]
    listed = "; ".join(map(str, volumes or images))
    if len(volumes) > 1:
        raise InputError(
            f"{path} holds {len(volumes)} volumes, {listed}: name a file of the one you want instead of the folder."
        )
    if not volumes and images:
        raise InputError(f"{path} holds no volume, only {listed}: choose the folder of a series with several slices.")
    if not volumes:
        raise InputError(f"{path} holds no DICOM images: choose the folder that directly contains the slices.")
    return volumes[0]


def _check_undamaged(found: Headers, series: Series) -> None:
    """A slice that cannot be read would be a missing one, and nobody would notice the first or the last."""
    uid = next(iter(series.headers.values())).SeriesInstanceUID
    cut_off = [
        path for path, header in found.readable.items() if header.SeriesInstanceUID == uid and "Rows" not in header
    ]
    if damaged := sorted(path.name for path in (*found.damaged, *cut_off)):
        listed = ", ".join(damaged[:3])
        raise InputError(f"{found.folder} has damaged DICOM files ({listed}): copy them again, or remove what is none.")


def _stack(path: Path, series: Series, straighten: bool) -> Stack:
    shape, components = _pixels_in_common(path, series)
    frames: list[Frame] = []
    for file, header in series.headers.items():
        frames += frames_of(file, header)
    check_grey_volume(path, (*shape, len(frames)), components)
    return stacked(str(series), frames, shape, straighten)


def _pixels_in_common(path: Path, series: Series) -> tuple[tuple[int, int], int]:
    """(J, I) of every slice, and values a pixel."""
    kinds = {(int(h.Rows), int(h.Columns), int(h.get("SamplesPerPixel", 1))) for h in series.headers.values()}
    if len(kinds) > 1:
        raise InputError(f"The slices of {series} differ in size: put those of one size in their own folder.")
    rows, columns, components = kinds.pop()
    if rows < 1 or columns < 1:
        raise InputError(f"{path} {DAMAGED}.")
    return (rows, columns), components

"""The series that a result belongs to: what every DICOM result names its patient, its study and its slices by."""

# mypy: allow-untyped-calls

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset

from ....errors import InputError, OutputError
from ...volume import LabelMap
from ..headers import is_dicom
from ..series import Series, series_of
from ..stack import Stack

_SAME_GRID = 1e-3

MANUFACTURER = "TuckerSeg"

DISCLAIMER = "Research software, not a medical device"


@dataclass(frozen=True)
class Source:
    """
    Attributes:
        image: the folder or file of the series, as the user named it.
        series, stack: its files, and the grid (K, J, I) that their frames lie on.
    """

    image: Path
    series: Series
    stack: Stack

    @property
    def files(self) -> list[Path]:
        """In the order of the slices: one file a slice, or one with all of them."""
        return list(dict.fromkeys(frame.file for frame in self.stack.frames))

    @property
    def headers(self) -> list[FileDataset]:
        """Those of `files`."""
        return [self.series.headers[file] for file in self.files]

    @property
    def series_number(self) -> int:
        """A number for a result's series that follows the image's."""
        return 1000 + int(self.headers[0].get("SeriesNumber") or 0)

    def check_grid(self, label_map: LabelMap) -> None:
        """
        Raises:
            InputError: the labels lie on another grid than the series.
        """
        if label_map.labels.shape != self.stack.geometry.shape or not np.allclose(
            label_map.geometry.ijk_to_ras, self.stack.geometry.ijk_to_ras, rtol=0, atol=_SAME_GRID
        ):
            raise InputError(f"{self.image} is not on the grid of the labels: write them in another format.")


def source_of(images: Sequence[Path], what: str, straighten: bool = False) -> Source:
    """The series that a DICOM result, called `what` in errors, is made of.

    Args:
        images: one folder or file of a series.
        straighten: whether its voxels are resampled where they are crooked.

    Raises:
        OutputError: the image is no DICOM series whose patient and slices the result could name.
        InputError: the series forms no volume.
    """
    if len(images) != 1 or not images[0].exists() or not (images[0].is_dir() or is_dicom(images[0])):
        raise OutputError(f"{what} needs a DICOM series as its image: choose another suffix or image.")
    if straighten:
        raise OutputError(f"{what} lies on its series' own slices: leave out --straighten.")
    with lenient():
        source = Source(images[0], *series_of(images[0]))
    if len(source.files) not in (1, len(source.stack.frames)):
        raise OutputError("The series is spread over several multi-frame files: choose another suffix for the result.")
    for tag in ("FrameOfReferenceUID", "StudyInstanceUID", "SOPInstanceUID"):
        if not source.headers[0].get(tag):
            raise OutputError(f"{what} must name what {images[0]} leaves out ({tag}): choose another suffix.")
    return source


def check_highdicom(what: str) -> None:
    """
    Raises:
        OutputError: the package that writes the result called `what` is missing.
    """
    if find_spec("highdicom") is None:
        raise OutputError(f"{what} needs the package highdicom: pip install 'tuckerseg[dicom]'.")


@contextmanager
def lenient() -> Iterator[None]:
    """Without pydicom's warnings about values of the image that break DICOM's rules and can be used all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

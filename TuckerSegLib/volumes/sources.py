"""Images by the names that users give: "phantoms", files, folders of files, or folders with one DICOM series."""

from collections.abc import Sequence
from pathlib import Path

from .files import read_volume
from .phantoms import seeds
from .phantoms.phantom import phantom
from .volume import Volume

PHANTOMS = "phantoms"

Source = int | Path
"""The seed of a phantom, or the place of an image; small enough to be handed to another process."""

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def sources_of(names: Sequence[str], phantoms: Sequence[int]) -> list[Source]:
    """One source for each image that `names` stand for; `phantoms` are the seeds that "phantoms" stands for."""
    return [source for name in names for source in _sources(name, phantoms)]


def read(source: Source) -> Volume:
    """
    Raises:
        InputError: the image cannot be read.
    """
    return phantom(source).image if isinstance(source, int) else read_volume([source])


def volumes_of(names: Sequence[str]) -> list[Volume]:
    """The volumes that layers are fitted on.

    Raises:
        InputError: a file cannot be read.
    """
    return [read(source) for source in sources_of(names, seeds.CALIBRATION)]


def _sources(name: str, phantoms: Sequence[int]) -> Sequence[Source]:
    if name == PHANTOMS:
        return phantoms
    path = Path(name).expanduser()
    files = sorted(f for f in path.iterdir() if f.name.lower().endswith(_SUFFIXES)) if path.is_dir() else []
    return files or [path]

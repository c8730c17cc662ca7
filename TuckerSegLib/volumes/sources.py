"""Volumes by name: phantoms, files, folders of them, or folders of DICOM slices."""

from collections.abc import Sequence
from pathlib import Path

from .files import read_volume
from .phantoms.phantom import phantom
from .volume import Volume

PHANTOMS = "phantoms"

PHANTOM_SEEDS = range(2000, 2004)
"""Phantoms that neither training, the choice of settings nor any test uses."""

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def volumes_of(sources: Sequence[str]) -> list[Volume]:
    """The volumes named by `sources`: "phantoms", image files, folders of them, or folders with one DICOM series.

    Raises:
        InputError: a file cannot be read.
    """
    return [volume for source in sources for volume in _volumes(source)]


def _volumes(source: str) -> list[Volume]:
    if source == PHANTOMS:
        return [phantom(seed).image for seed in PHANTOM_SEEDS]
    path = Path(source)
    files = sorted(f for f in path.iterdir() if f.name.lower().endswith(_SUFFIXES)) if path.is_dir() else []
    return [read_volume([file]) for file in files or [path]]

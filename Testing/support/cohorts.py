"""Small CT-like scans in folders, as many as a test wants, and a model that segments one in a moment."""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from pytest import MonkeyPatch
from support.trained_folders import make_folder

from TuckerSegLib.cohorts.cohort import Cohort

SHAPE = (18, 20, 22)
"""(K, J, I)."""


@contextmanager
def one_core_each(cache: Path) -> Iterator[MonkeyPatch]:
    """One cache, and one core for each network, as the workers have it: then what is fast is the same to all."""
    with MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_CACHE", str(cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield patch


def small_model(folder: Path, mirroring: Sequence[int] | None = None) -> Path:
    return make_folder(folder, features=(8, 16), patch_size=(16, 16, 16), mirroring=mirroring)


def write_scan(path: Path, seed: int, shape: tuple[int, int, int] = SHAPE) -> Path:
    """Noise of 1.5 mm voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.random.default_rng(seed).normal(0, 300, shape).astype(np.int16))
    image.SetSpacing((1.5, 1.5, 1.5))
    sitk.WriteImage(image, str(path))
    return path


def folder_of(cohort: Cohort) -> Path:
    """Where its scans are."""
    assert isinstance(cohort.inputs, Path)
    return cohort.inputs


def write_scans(folder: Path, count: int) -> list[Path]:
    """As studies lie: each in the folder of its patient."""
    return [write_scan(folder / f"patient_{number:04}" / "ct.nii.gz", number) for number in range(count)]

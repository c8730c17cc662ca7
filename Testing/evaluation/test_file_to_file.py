"""The pipeline benchmark runs the real programs from file to file, and counts the memory of all their processes."""

# mypy: allow-untyped-calls

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support.trained_folders import make_folder

from TuckerSegLib.errors import InputError, ModelError, TuckerSegError
from TuckerSegLib.evaluation.speed.file_to_file import as_json, pipeline
from TuckerSegLib.evaluation.speed.footprint import Footprint
from TuckerSegLib.progress import Progress

HELD = 150_000_000
CHILD = f"import time; held = bytearray({HELD}); print(flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
sys.stdin.read()
child.kill()
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(24, 26, 28)), 2)
    voxels = (900 * noise / np.abs(noise).max()).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.5, 1.5, 1.5, 1.0])), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
def test_the_stock_program_and_each_level_are_timed_watched_and_compared(tmp_path: Path, image: Path) -> None:
    folder = str(make_folder(tmp_path, labels=4, patch_size=(16, 16, 16)))
    told: list[str] = []
    stock, whole, small = pipeline(folder, image, (1.0, 0.25), 2, Progress(lambda event: told.append(event.stage)))
    assert [one.program for one in (stock, whole, small)] == ["nnU-Net", "TuckerSeg", "TuckerSeg"]
    assert all(len(one.seconds) == 2 and min(one.seconds) > 0 for one in (stock, whole, small))
    assert min(one.peak for one in (stock, whole, small)) > 100_000_000, "PyTorch alone takes so much"
    assert whole.equal > 0.99 and whole.dice > 0.98, "the same network"
    assert 0.5 < small.equal <= 1.0, "a level of the same network"
    timed = [line for line in told if line.startswith("timing")]
    assert timed[:3] == [f"timing {name}, 1 of 2" for name in ("nnU-Net", "TuckerSeg at 1", "TuckerSeg at 0.25")]
    said = as_json(folder, image, [stock, whole, small])
    assert said["image"] == {"name": "ct.nii.gz", "shape": [28, 26, 24]}
    assert said["stock"]["seconds"] == stock.median  # type: ignore[index]
    assert [level["factor"] for level in said["levels"]] == [1.0, 0.25]  # type: ignore[attr-defined]


def test_a_model_that_no_other_program_runs_is_refused(image: Path) -> None:
    with pytest.raises(InputError, match=r"No other program runs small\.tuckerseg: name a task"):
        pipeline("small.tuckerseg", image)


def test_a_task_without_weights_is_refused_before_anything_runs(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("totalsegmentator")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    with pytest.raises(ModelError, match="tuckerseg models install total-fast"):
        pipeline("total-fast", image)


def test_what_a_program_complains_of_is_told(tmp_path: Path, image: Path) -> None:
    folder = make_folder(tmp_path, labels=4, patch_size=(16, 16, 16))
    (folder / "fold_0" / "checkpoint_final.pth").unlink()
    with pytest.raises(TuckerSegError, match="failed unexpectedly"):
        pipeline(str(folder), image, (0.5,), 1)


def test_the_footprint_counts_children() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        with Footprint(parent.pid) as footprint:
            parent.poll()
        parent.communicate(b"")
    assert HELD < footprint.peak < 1.5 * HELD

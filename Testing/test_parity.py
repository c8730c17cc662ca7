"""With the same weights, the label map is TotalSegmentator's own: every kind of task, on every kind of grid.

TotalSegmentator runs in a process of its own, on the same folders of weights: its names, trainers and plans, seeded
random weights in narrow networks.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from geometries import rotation
from trained_folders import totalsegmentator_task

from TuckerSegLib.io import read_volume
from TuckerSegLib.models import totalsegmentator
from TuckerSegLib.models.totalsegmentator import task
from TuckerSegLib.tasks import segment_task

DATA = Path(__file__).parents[2] / "shared" / "data"
CT, MR = DATA / "torso_ct_3mm.nii.gz", DATA / "abdomen_mr_3mm.nii.gz"
AGREEMENT = 0.9999
NEVER = 100.0
OBLIQUE = rotation((0.96, 0.1, -0.2, 0.15))
LICENCE = "aca_123456789012345"[:18]

pytestmark = [
    pytest.mark.skipif(not CT.is_file(), reason=f"the scans of {DATA} are not here"),
    pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::RuntimeWarning"),
]


@dataclass(frozen=True)
class Case:
    """One run of both programs: `name` of the task on `image`; `config` changes TotalSegmentator's own table."""

    name: str
    image: str
    roi_subset: tuple[str, ...] = ()
    remove_small_blobs: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    is_part: bool = False
    """Whether it looks at a part of the image only, and finds something there."""

    def job(self, folder: Path, output: Path) -> dict[str, Any]:
        base, _, mode = self.name.partition("-")
        return {
            "image": str(folder / f"{self.image}.nii.gz"),
            "output": str(output),
            "task": base,
            "fast": mode == "fast",
            "fastest": mode == "fastest",
            "roi_subset": list(self.roi_subset) or None,
            "remove_small_blobs": self.remove_small_blobs,
            "config": dict(self.config),
        }


PROMPTED = {"cascade": True, "crop": ["liver"], "resample": [1.5, 1.5, 2.0], "model": "3d_fullres"}
FAST = {
    "3 mm, oblique": Case("total-fast", "oblique"),
    "6 mm, anisotropic": Case("total-fastest", "anisotropic"),
    "five networks, left-handed": Case("total", "left_handed_small"),
    "one structure's networks": Case("total", "oblique", ("liver", "vertebrae_L1"), is_part=True),
    "a crop, hidden labels": Case("kidney_cysts", "left_handed", is_part=True),
    "a robust crop, cleared outside": Case("heartchambers_highres", "oblique", is_part=True),
    "a cascade": Case("total_highres_test", "torso", config=PROMPTED, is_part=True),
    "two networks, refined": Case("vertebrae_pp_refined", "small"),
    "the largest blob": Case("body-fast", "torso"),
    "no small blobs": Case("total-fastest", "sagittal", remove_small_blobs=True),
    "MR": Case("total_mr-fast", "mr"),
    "MR, a crop": Case("liver_segments_mr", "mr_oblique", is_part=True),
}


@dataclass(frozen=True)
class Both:
    """Where the images, the weights and TotalSegmentator's results are."""

    folder: Path
    weights: Path
    home: Path

    def environment(self) -> dict[str, str]:
        return {"TOTALSEG_WEIGHTS_PATH": str(self.weights), "TOTALSEG_HOME_DIR": str(self.home)}

    def run_theirs(self, cases: Mapping[str, Case], in_process: bool) -> None:
        jobs = [case.job(self.folder, self.output(case)) for case in cases.values()]
        (self.folder / "jobs.json").write_text(json.dumps({"jobs": jobs, "in_process": in_process}))
        program = Path(__file__).with_name("run_totalsegmentator.py")
        environment = {**os.environ, **self.environment()}
        done = subprocess.run(
            [sys.executable, str(program), str(self.folder / "jobs.json")],
            env=environment, capture_output=True, text=True, timeout=3000,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)

    def output(self, case: Case) -> Path:
        options = f"{'_'.join(case.roi_subset)}{case.remove_small_blobs}"
        return self.folder / f"theirs_{case.name}_{case.image}_{options}.nii.gz"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("parity")
    both = Both(folder, folder / "weights", folder / "home")
    both.weights.mkdir()
    both.home.mkdir()
    config = {"totalseg_id": "test", "send_usage_stats": False, "prediction_counter": 0}
    config |= {"statistics_disclaimer_shown": True, "license_number": LICENCE}
    (both.home / "config.json").write_text(json.dumps(config))
    write_images(folder)
    return both


def write_images(folder: Path) -> None:
    torso, mr = nibabel.load(CT).slicer[30:74, 25:65, 30:74], nibabel.load(MR).slicer[30:74, 25:65, :]
    small = torso.slicer[5:35, 6:34, 8:38]
    images = {
        "torso": torso,
        "small": small,
        "oblique": turned(torso),
        "left_handed": torso.slicer[::-1],
        "left_handed_small": small.slicer[:, ::-1],
        "anisotropic": torso.slicer[:, :, ::2],
        "sagittal": torso.as_reoriented(nibabel.orientations.axcodes2ornt("ASR")),
        "mr": mr,
        "mr_oblique": turned(mr),
    }
    for name, image in images.items():
        nibabel.save(image, folder / f"{name}.nii.gz")


def turned(image: Any) -> Any:
    affine = image.affine.copy()
    affine[:3, :3] = OBLIQUE @ affine[:3, :3]
    return nibabel.Nifti1Image(np.asanyarray(image.dataobj), affine)


@pytest.fixture(scope="module")
def theirs(both: Both) -> Both:
    """TotalSegmentator's results for all fast cases."""
    others = dict.fromkeys(("kidney_left", "kidney_right", "spleen", "colon"), NEVER)
    totalsegmentator_task(both.weights, "total-fastest", seed=2, rare={"liver": 1.6, "vertebrae_L1": NEVER, **others})
    totalsegmentator_task(both.weights, "total-fast", seed=2, rare={"heart": 0.13})
    totalsegmentator_task(both.weights, "total_mr-fast", seed=6, rare={"liver": 0.25})
    totalsegmentator_task(
        both.weights, "vertebrae_pp", rare=dict.fromkeys(task("vertebrae_pp").structures.values(), 2.5)
    )
    for case in FAST.values():
        with changed(case):
            totalsegmentator_task(both.weights, case.name)
    both.run_theirs(FAST, in_process=True)
    return both


class changed:  # noqa: N801
    """TotalSegmentator's table with a case's changes, for as long as the block runs."""

    def __init__(self, case: Case) -> None:
        from totalsegmentator.map_tasks_config import TASK_CONFIGS

        self._row = TASK_CONFIGS[case.name.partition("-")[0]]
        self._before = dict(self._row)
        self._changes = case.config

    def __enter__(self) -> None:
        self._row.update(self._changes)
        totalsegmentator._task.cache_clear()

    def __exit__(self, *_: object) -> None:
        self._row.clear()
        self._row.update(self._before)
        totalsegmentator._task.cache_clear()


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("segmenting talks to nobody")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def ours(both: Both, case: Case, monkeypatch: pytest.MonkeyPatch) -> npt.NDArray[np.unsignedinteger]:
    for name, value in both.environment().items():
        monkeypatch.setenv(name, value)
    volume = read_volume([both.folder / f"{case.image}.nii.gz"])
    with changed(case):
        result = segment_task(
            volume, case.name, roi_subset=case.roi_subset, remove_small_blobs=case.remove_small_blobs, device="cpu"
        )
        assert set(result.label_map.names.values()) == set(case.roi_subset or task(case.name).structures.values())
    assert result.label_map.geometry is volume.geometry
    labels: npt.NDArray[np.unsignedinteger] = result.label_map.labels.T
    return labels


def compare(both: Both, case: Case, labels: npt.NDArray[np.unsignedinteger]) -> None:
    written = np.asanyarray(nibabel.load(both.output(case)).dataobj)
    assert labels.shape == written.shape
    assert len(np.unique(written)) > 1
    if case.is_part:
        assert 0 < np.count_nonzero(written) < 0.9 * written.size
    assert (labels == written).mean() >= AGREEMENT


@pytest.mark.parametrize("name", FAST)
def test_labels_are_totalsegmentators_and_nothing_is_sent(
    theirs: Both, name: str, monkeypatch: pytest.MonkeyPatch, no_sockets: None
) -> None:
    compare(theirs, FAST[name], ours(theirs, FAST[name], monkeypatch))

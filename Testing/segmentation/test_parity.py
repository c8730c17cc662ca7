"""With the same weights, the label map is TotalSegmentator's own: every kind of task, on every kind of grid.

TotalSegmentator runs in a process of its own, on the same folders of weights: its names, trainers and plans, seeded
random weights in narrow networks.
"""

# mypy: allow-untyped-calls

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel.orientations
import numpy as np
import numpy.typing as npt
import pytest
from support.geometries import rotation
from support.paths import DATA, ROOT
from support.preparing import prepared_model
from support.trained_folders import totalsegmentator_297, totalsegmentator_task

from TuckerSegLib.models.totalsegmentator import tasks as totalsegmentator
from TuckerSegLib.models.totalsegmentator.tasks import Network, task
from TuckerSegLib.models.totalsegmentator.weights import open_network
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.prepare import PreparedModel
from TuckerSegLib.segmentation.tasks.how import How
from TuckerSegLib.segmentation.tasks.task import segment_task
from TuckerSegLib.volumes.files import read_volume

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
    is_empty: bool = False

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


PROMPTED = {"cascade": True, "crop": ["liver"], "resample": [3.0, 3.0, 4.0], "model": "3d_fullres"}
FAST = {
    "3 mm, oblique": Case("total-fast", "oblique"),
    "6 mm, anisotropic, sagittal, without small blobs": Case("total-fastest", "sagittal", remove_small_blobs=True),
    "five networks, left-handed": Case("total", "tiny"),
    "a crop, the scan's own spacing": Case("liver_vessels", "left_handed", is_part=True),
    "a cascade": Case("total_highres_test", "torso", config=PROMPTED, is_part=True),
    "the largest blob": Case("body-fast", "torso"),
    "MR": Case("total_mr-fast", "mr_small"),
}
SLOW = {
    "five networks": Case("total", "oblique"),
    "some structures' networks": Case("total", "torso", ("liver", "vertebrae_L1"), is_part=True),
    "some structures, 3 mm": Case("total-fast", "left_handed", ("liver", "spleen"), is_part=True),
    "a crop, hidden labels": Case("kidney_cysts", "left_handed", is_part=True),
    "a robust crop, cleared outside": Case("heartchambers_highres", "oblique", is_part=True),
    "a crop of a crop": Case("teeth", "tiny"),
    "two tasks, one refines the other": Case("vertebrae_pp_refined", "small"),
    "several folds": Case("pleural_pericard_effusion", "torso", is_part=True),
    "nowhere to look": Case("cerebral_bleed", "torso", is_empty=True),
    "the body": Case("body", "small"),
    "version 3": Case("total_v3-fast", "sagittal"),
    "MR, two networks": Case("total_mr", "mr_small"),
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
        program = ROOT / "Testing" / "tools" / "run_totalsegmentator.py"
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
    torso, mr = opened(CT).slicer[30:74, 25:65, 30:74], opened(MR).slicer[30:74, 25:65, :]
    small = torso.slicer[5:35, 6:34, 8:38]
    images = {
        "torso": torso,
        "small": small,
        "oblique": turned(torso),
        "left_handed": torso.slicer[::-1],
        "tiny": small.slicer[5:21, 20:5:-1, 6:22],
        "sagittal": torso.slicer[:, :, ::2].as_reoriented(nibabel.orientations.axcodes2ornt("ASR")),
        "mr_small": mr.slicer[:30, :30],
        "mr_oblique": turned(mr),
    }
    for name, image in images.items():
        nibabel.save(image, folder / f"{name}.nii.gz")


def opened(path: Path) -> Any:
    return nibabel.load(path)


def turned(image: Any) -> Any:
    affine = image.affine.copy()
    affine[:3, :3] = OBLIQUE @ affine[:3, :3]
    return nibabel.Nifti1Image(np.asanyarray(image.dataobj), affine)


@pytest.fixture(scope="module")
def theirs(both: Both) -> Both:
    """TotalSegmentator's results for all fast cases."""
    write_weights(both, FAST)
    both.run_theirs(FAST, in_process=True)
    return both


@pytest.fixture(scope="module")
def theirs_slow(both: Both) -> Both:
    write_weights(both, SLOW)
    both.run_theirs(SLOW, in_process=True)
    return both


def write_weights(both: Both, cases: Mapping[str, Case]) -> None:
    """Of all networks; those that find the place for another find something small."""
    others = dict.fromkeys(("kidney_left", "kidney_right", "spleen", "colon", "vertebrae_L1"), NEVER)
    lungs = {name: NEVER for name in task("total").structures.values() if name.startswith("lung_")}
    vertebrae = dict.fromkeys(task("vertebrae_pp").structures.values(), 2.5)
    rare = {"liver": 1.6, **others, **lungs, "lung_upper_lobe_right": 2.7, "brain": NEVER, "skull": -0.1}
    totalsegmentator_task(both.weights, "total-fastest", seed=2, rare=rare)
    totalsegmentator_task(both.weights, "total-fast", seed=2, rare={"heart": 0.13})
    totalsegmentator_task(both.weights, "total_mr-fast", seed=6, rare={"liver": 0.25})
    totalsegmentator_task(both.weights, "total", rare={"liver": -2.0})
    if "vertebrae_pp_refined" in {case.name for case in cases.values()}:
        totalsegmentator_task(both.weights, "vertebrae_pp", rare=vertebrae)
    for case in cases.values():
        with changed(case):
            totalsegmentator_task(both.weights, case.name)


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

    def prepare(network: Network, _: Progress) -> PreparedModel:
        return prepared_model(open_network(network, case.name), both.folder / "cache")

    with changed(case):
        result = segment_task(volume, case.name, prepare, case.roi_subset, How(case.remove_small_blobs))
        assert set(result.label_map.names.values()) == set(case.roi_subset or task(case.name).structures.values())
    assert result.label_map.geometry is volume.geometry
    labels: npt.NDArray[np.unsignedinteger] = result.label_map.labels.T
    return labels


def compare(both: Both, case: Case, labels: npt.NDArray[np.unsignedinteger]) -> None:
    written = np.asanyarray(opened(both.output(case)).dataobj)
    assert labels.shape == written.shape
    assert len(np.unique(written)) > 1 or case.is_empty
    if case.is_part:
        assert 0 < np.count_nonzero(written) < 0.9 * written.size
    assert (labels == written).mean() >= AGREEMENT


@pytest.mark.parametrize("name", FAST)
def test_labels_are_totalsegmentators_and_nothing_is_sent(
    theirs: Both, name: str, monkeypatch: pytest.MonkeyPatch, no_sockets: None
) -> None:
    compare(theirs, FAST[name], ours(theirs, FAST[name], monkeypatch))


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_labels_of_further_tasks_are_totalsegmentators(
    theirs_slow: Both, name: str, monkeypatch: pytest.MonkeyPatch, no_sockets: None
) -> None:
    compare(theirs_slow, SLOW[name], ours(theirs_slow, SLOW[name], monkeypatch))


@pytest.mark.slow
def test_whole_scan_in_full_width_in_totalsegmentators_own_processes(
    both: Both, monkeypatch: pytest.MonkeyPatch, no_sockets: None
) -> None:
    full = replace(both, weights=both.folder / "full_width")
    case = Case("total-fast", "whole")
    totalsegmentator_297(full.weights)
    nibabel.save(turned(opened(CT)), both.folder / "whole.nii.gz")
    full.run_theirs({"full width": case}, in_process=False)
    compare(full, case, ours(full, case, monkeypatch))

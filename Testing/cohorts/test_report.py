"""What is said of a cohort: its state, its unusual scans, its page, and the plan of a larger one."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.cohorts import folder_of

from TuckerSegLib.cohorts.cohort import Cohort
from TuckerSegLib.cohorts.manifest import DONE, FAILED, SET_ASIDE, Json, Manifest
from TuckerSegLib.cohorts.planning import Computer, plan
from TuckerSegLib.cohorts.report.page import write_report
from TuckerSegLib.cohorts.report.unusual import unusual_scans, volumes_of
from TuckerSegLib.cohorts.state import state_of
from TuckerSegLib.errors import InputError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.files import write_segmentation
from TuckerSegLib.volumes.formats.nifti import write_nifti
from TuckerSegLib.volumes.volume import Geometry, LabelMap

MARK = "<script>alert('id')</script>"


def record(scan: str, **millilitres: float) -> Json:
    """As a worker tells it, of structures with these volumes; those below 0 touch the border."""
    structures = [
        {"label": label, "name": name, "volume": abs(volume) * 1000.0, "touches_border": volume < 0}
        for label, (name, volume) in enumerate(millilitres.items(), start=1)
    ]
    return {
        "event": DONE,
        "id": scan,
        "structures": structures,
        "seconds": {"hash": 0.5, "read": 1.5, "segment": 15.0, "measure": 2.0, "write": 1.0, "all": 20.0},
        "threads": 2,
        "input": {"bytes": 100_000_000},
        "result": {"bytes": 1_000_000},
        "peak_memory": 4_000_000_000,
        "grid": {"shape": [10, 20, 30]},
        "policy": {"factor": 0.5},
        "versions": {"tuckerseg": "0.1.0"},
        "warnings": ["The image is small."],
        "agreement": None,
    }


def many(count: int = 20) -> list[Json]:
    """Livers of about 1500 ml and spleens of about 200."""
    return [record(f"scan_{n}", liver=1500 + 10 * (n % 7), spleen=200 + 3 * (n % 5)) for n in range(count)]


def test_a_volume_far_from_all_others_is_unusual() -> None:
    records = [*many(), record("small", liver=700, spleen=203), record("large", liver=1520, spleen=900)]
    found = unusual_scans(records, volumes_of(records))
    assert [(one.scan, one.structure) for one in found] == [("large", "spleen"), ("small", "liver")]
    assert found[1].distance < -3.5 and found[0].distance > 3.5
    assert "liver has 700 ml (median 1,525 ml" in str(found[1])


def test_a_structure_that_nearly_all_have_is_missed() -> None:
    records = [*many(), record("without", liver=1510)]
    assert [(one.scan, one.structure, one.volume) for one in unusual_scans(records, volumes_of(records))] == [
        ("without", "spleen", 0.0)
    ]


def test_structures_at_the_border_and_few_scans_say_nothing() -> None:
    cut_off = [*many(), record("cut off", liver=-300, spleen=203)]
    assert not unusual_scans(cut_off, volumes_of(cut_off))
    few = [record("a", liver=1500), record("b", liver=1510), record("c", liver=100)]
    assert not unusual_scans(few, volumes_of(few))


def write_cohort(folder: Path) -> Cohort:
    """Twelve scans with a cube each, in one of which it is small; one failed, and one was set aside."""
    cohort = Cohort(folder / "scans", folder / "results", Request("sample", 0.5))
    for place in (folder_of(cohort), cohort.results):
        place.mkdir()
    manifest = Manifest(cohort.places.manifest)
    manifest.add("cohort", {"format": 1, **cohort.settings("fingerprint")})
    geometry = Geometry.from_lps((20, 24, 28), (1.5, 1.5, 2.0), (0, 0, 0), np.eye(3))
    for number in range(12):
        side = 4 if number == 3 else 12 + number % 2
        labels = np.zeros(geometry.shape, np.uint8)
        labels[4 : 4 + side, 5 : 5 + side, 6 : 6 + side] = 1
        voxels = np.where(labels > 0, 60, -1000).astype(np.int16)
        write_nifti(voxels, geometry, folder_of(cohort) / f"scan_{number}.nii.gz")
        write_segmentation(
            LabelMap(labels, geometry, {1: "liver"}), cohort.places.result(f"scan_{number}", ".seg.nrrd")
        )
        told = record(f"scan_{number}", liver=float(side**3))
        told.pop("event")
        manifest.add(DONE, told)
    manifest.add(FAILED, {"id": MARK, "sentence": "It is damaged & cut off."})
    manifest.add(SET_ASIDE, {"id": "deadly", "sentence": "2 workers died at it."})
    return cohort


def test_the_state_is_known_from_the_manifest_alone(tmp_path: Path) -> None:
    state = state_of(write_cohort(tmp_path))
    assert state.counts == {DONE: 12, FAILED: 1, SET_ASIDE: 1} and state.seconds == 20.0
    assert str(state) == "12 done, 1 failed, 1 set aside; 20 s a scan, 4.0 GB at most."
    assert [scan for scan, _ in state.problems] == [MARK, "deadly"]


def test_the_page_needs_nothing_else_and_shows_the_worst(tmp_path: Path) -> None:
    page = write_report(write_cohort(tmp_path)).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:src|href)=['\"]?(.{5})", page)) == {"data:"} and "<script" not in page
    assert "It is damaged &amp; cut off." in page and "The image is small." in page
    pictures = re.findall(r"data:image/png;base64,([^']+)", page)
    assert len(pictures) == 1 and "scan_3" in page
    picture: Any = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("RGB"), np.int16)
    assert (np.ptp(picture, axis=2) > 30).any(), "the structure is drawn in colour"
    assert (tmp_path / "results" / "measurements.csv").is_file()


def test_a_scan_that_is_gone_has_no_picture(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path)
    (folder_of(cohort) / "scan_3.nii.gz").unlink()
    page = write_report(cohort).read_text(encoding="utf-8")
    assert "data:image" not in page and "The files are not there." in page


def test_a_cohort_without_scans_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report yet"):
        write_report(Cohort(tmp_path, tmp_path))


def test_the_plan_is_the_arithmetic_of_what_was_measured() -> None:
    node = Computer(cores=32, memory=64_000_000_000, disk=500_000_000)
    planned = plan(many(), scans=10_000, nodes=16, computer=node)
    assert (planned.workers, planned.threads) == (8, 4)
    assert planned.by_computing == pytest.approx(10_000 * 20 * 2 / (16 * 32))
    assert planned.by_reading == pytest.approx(10_000 * 101e6 / 500e6)
    assert planned.bound == "the disk" and planned.seconds == planned.by_reading
    laptop = plan(many(), 10_000, 1, Computer(cores=8, memory=16_000_000_000, disk=500_000_000))
    assert (laptop.workers, laptop.threads, laptop.bound) == (2, 4, "processors")
    assert laptop.seconds == pytest.approx(10_000 * 40 / 8)
    with pytest.raises(InputError, match="and a node has 3"):
        plan(many(), 10, 1, Computer(8, 3_000_000_000, 10**8))

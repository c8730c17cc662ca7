"""A cohort on workers of this computer: every scan once, whatever is wrong with some of them, and gone on with."""

# mypy: allow-untyped-calls

import json
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cohorts import folder_of, one_core_each, small_model, write_scan, write_scans

import TuckerSegLib as tuckerseg  # noqa: N813
from TuckerSegLib.cli.cohort.bar import sentence
from TuckerSegLib.cohorts.clusters import Where
from TuckerSegLib.cohorts.cohort import Cohort, cohort_in, opened
from TuckerSegLib.cohorts.expected import expected, workers_that_fit
from TuckerSegLib.cohorts.manifest import DONE, FAILED, SET_ASIDE, Json, read_manifest
from TuckerSegLib.cohorts.running import Listener, run
from TuckerSegLib.cohorts.scans.tables import read_table
from TuckerSegLib.cohorts.state import state_of
from TuckerSegLib.cohorts.work import Writing
from TuckerSegLib.errors import InputError, OutputError, WorkerError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.files import read_volume

TWO = Where(workers=2)
COUNT = 10


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with one_core_each(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Ten scans, one that is damaged and two that have one id."""
    folder = tmp_path_factory.mktemp("cohort")
    write_scans(folder / "scans", COUNT)
    (folder / "scans" / "damaged.nii.gz").write_bytes(b"no image")
    for suffix in (".nii.gz", ".nrrd"):
        write_scan(folder / "scans" / f"twice{suffix}", 0)
    request = Request(str(small_model(folder / "model")), 0.5, engine="torch", exact_ranks=True)
    return Cohort(folder / "scans", folder / "results", request)


@pytest.fixture(scope="module")
def records(cohort: Cohort) -> list[Json]:
    return list(run(cohort, TWO))


def test_every_scan_is_there_exactly_once(cohort: Cohort, records: list[Json]) -> None:
    done = [record["id"] for record in records if record["event"] == DONE]
    assert sorted(done) == [f"patient_{number:04}/ct" for number in range(COUNT)]
    failed = {record["id"]: record["sentence"] for record in records if record["event"] == FAILED}
    assert set(failed) == {"damaged", "twice"} and "damaged.nii.gz" in failed["damaged"]
    results = [path.relative_to(cohort.results) for path in cohort.results.rglob("*.seg.nrrd")]
    assert sorted(results) == [Path(f"{name}.seg.nrrd") for name in sorted(done)]
    left = [path for path in (cohort.results / ".cohort").rglob("*") if path.is_file() and path.name != "lock"]
    assert left == []


def test_results_are_those_of_the_single_command(cohort: Cohort, records: list[Json]) -> None:
    client = tuckerseg.Client()
    for number in (0, 3, 7):
        scan = folder_of(cohort) / f"patient_{number:04}" / "ct.nii.gz"
        alone = client.segment(read_volume([scan]), cohort.request).wait().label_map
        found = read_volume([cohort.results / f"patient_{number:04}" / "ct.seg.nrrd"])
        assert alone.labels.any() and np.array_equal(found.voxels[0], alone.labels)
    client.close()


def test_the_network_is_loaded_once_a_worker_and_prepared_once_in_all(records: list[Json]) -> None:
    done = [record for record in records if record["event"] == DONE]
    loads = [record["seconds"]["stages"]["load"] for record in done]
    workers = {record["worker"] for record in done}
    assert 1 <= len(workers) <= 2
    assert sum(load > 0.1 for load in loads) <= len(workers), loads
    assert len({json.dumps(record["policy"]) for record in done}) == 1


def test_what_is_known_of_a_scan_is_in_the_manifest_and_the_table(cohort: Cohort, records: list[Json]) -> None:
    record = read_manifest(cohort.places.manifest).records["patient_0000/ct"]
    scan = folder_of(cohort) / "patient_0000" / "ct.nii.gz"
    assert record["input"]["bytes"] == scan.stat().st_size and len(record["input"]["sha256"]) == 64
    assert record["result"]["bytes"] == (cohort.results / "patient_0000" / "ct.seg.nrrd").stat().st_size
    assert record["peak_memory"] > 1e7 and record["engine"] and record["versions"]["torch"]
    rows = [row for row in read_table(cohort.places.measurements(".parquet")) if row["id"] == "patient_0000/ct"]
    volume = read_volume([cohort.results / "patient_0000" / "ct.seg.nrrd"])
    counted = {int(label): int((volume.voxels == label).sum()) for label in np.unique(volume.voxels) if label}
    assert {row["label"]: row["n_voxels"] for row in rows} == counted


def test_the_same_again_does_nothing_and_a_changed_scan_is_done_again(cohort: Cohort, records: list[Json]) -> None:
    said: list[str] = []
    assert list(run(cohort, TWO, Listener(says=said.append))) == [] and not said
    touched, changed = (folder_of(cohort) / f"patient_{number:04}" / "ct.nii.gz" for number in (1, 2))
    touched.touch()
    write_scan(changed, 99)
    (cohort.results / "patient_0003" / "ct.seg.nrrd").unlink()
    before = read_manifest(cohort.places.manifest).records
    again = {record["id"]: record for record in run(cohort, TWO, Listener(says=said.append))}
    assert set(again) == {f"patient_{number:04}/ct" for number in (1, 2, 3)}
    assert "patient_0003/ct is gone" in said[0]
    assert again["patient_0001/ct"]["time"] and again["patient_0001/ct"]["token"] == before["patient_0001/ct"]["token"]
    assert again["patient_0002/ct"]["input"]["sha256"] != before["patient_0002/ct"]["input"]["sha256"]
    assert again["patient_0003/ct"]["result"] == before["patient_0003/ct"]["result"]


def test_a_scan_that_was_mended_is_done_and_failures_can_be_tried_again(cohort: Cohort, records: list[Json]) -> None:
    write_scan(folder_of(cohort) / "damaged.nii.gz", 5)
    (folder_of(cohort) / "twice.nrrd").rename(folder_of(cohort) / "once.nrrd")
    found = {record["id"]: record["event"] for record in run(cohort, TWO, again=True)}
    assert found == {"damaged": DONE, "twice": DONE, "once": DONE}
    with pytest.raises(InputError, match="nothing to try again"):
        next(run(cohort, TWO, again=True))
    assert state_of(cohort).counts == {DONE: COUNT + 3, FAILED: 0, SET_ASIDE: 0}


OTHERS = {
    "another factor": (lambda c: replace(c, request=replace(c.request, factor=0.3)), "made with factor 0.5, not 0.3"),
    "another suffix": (
        lambda c: replace(c, writing=replace(c.writing, suffix=".nii.gz")),
        "made with suffix .seg.nrrd",
    ),
    "other scans": (lambda c: replace(c, inputs=folder_of(c) / "patient_0001"), "are those of"),
    "an unknown suffix": (lambda c: replace(c, writing=replace(c.writing, suffix=".jpg")), "no suffix of results"),
    "no such model": (lambda c: replace(c, request=Request("nowhere")), "no model nowhere"),
    "a factor that there is not": (lambda c: replace(c, request=replace(c.request, factor=2.0)), "outside"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_of_another_run_is_left_alone(cohort: Cohort, records: list[Json], other: str) -> None:
    change, sentence = OTHERS[other]
    before = cohort.places.manifest.read_bytes()
    with pytest.raises(tuckerseg.TuckerSegError, match=sentence):
        next(run(change(cohort), TWO))
    assert cohort.places.manifest.read_bytes() == before


def test_a_cohort_is_found_again_by_its_results(cohort: Cohort, records: list[Json]) -> None:
    found = cohort_in(cohort.results)
    assert found.request == cohort.request and found.writing == cohort.writing
    with pytest.raises(InputError, match="holds no cohort"):
        cohort_in(folder_of(cohort))


def test_a_result_never_takes_the_place_of_its_image(cohort: Cohort, tmp_path: Path) -> None:
    image = write_scan(tmp_path / "results" / "ct.nii.gz", 0)
    (tmp_path / "table.csv").write_text(f"id,image\nct,{image}\n")
    there = Cohort(tmp_path / "table.csv", tmp_path / "results", cohort.request, Writing(".nii.gz"))
    before = image.read_bytes()
    with pytest.raises(InputError, match="would overwrite its image"):
        list(run(there, TWO))
    assert image.read_bytes() == before


def test_names_are_those_of_this_folder_wherever_workers_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    here = Cohort(Path("scans"), Path("results"), Request("model"))
    assert here.inputs == tmp_path / "scans" and here.request.model == str(tmp_path / "model")
    assert Cohort(Path("scans"), Path("results"), Request("sample")).request.model == "sample"


def test_only_one_run_works_on_a_folder(cohort: Cohort, records: list[Json]) -> None:
    with opened(cohort), pytest.raises(OutputError, match="Another run is at work"):
        next(run(cohort, TWO))


def test_a_scheduler_that_does_not_answer_is_one_sentence(cohort: Cohort, records: list[Json], tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="No Dask scheduler answers at tcp"):
        list(run(replace(cohort, results=tmp_path / "results"), Where(scheduler="tcp://127.0.0.1:9")))


def test_a_scan_that_kills_its_workers_is_set_aside_and_the_others_go_on(cohort: Cohort, tmp_path: Path) -> None:
    write_scans(tmp_path / "scans", 3)
    write_scan(tmp_path / "scans" / "deadly.nii.gz", 0, (64, 64, 64))
    small = replace(cohort, inputs=tmp_path / "scans", results=tmp_path / "results")
    killed: list[int] = []
    killer = threading.Thread(target=_kill_whoever_is_at, args=("deadly", small, killed), daemon=True)
    killer.start()
    found = {record["id"]: record for record in run(small, TWO)}
    assert len(killed) == 2
    assert {name: record["event"] for name, record in found.items()} == {
        "deadly": SET_ASIDE, **{f"patient_{number:04}/ct": DONE for number in range(3)},
    }  # fmt: skip
    assert "2 workers died at it" in found["deadly"]["sentence"]
    assert state_of(small).problems == [("deadly", found["deadly"]["sentence"])]
    again = list(run(small, TWO, again=True))
    assert [(record["id"], record["event"]) for record in again] == [("deadly", DONE)]


def _kill_whoever_is_at(scan: str, cohort: Cohort, killed: list[int]) -> None:
    """Kill the first two workers that mark the scan as theirs."""
    while len(killed) < 2:
        time.sleep(0.02)
        for mark in cohort.places.running.glob("*"):
            try:
                told = json.loads(mark.read_text())
            except (OSError, ValueError):
                continue
            worker = int(told["worker"].rpartition(":")[2])
            if told["id"] == scan and worker not in killed:
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)


def test_python_gets_results_as_they_come_and_may_stop_and_go_on(cohort: Cohort, tmp_path: Path) -> None:
    write_scans(tmp_path / "scans", 2)
    (tmp_path / "scans" / "bad.mha").write_text("nothing")
    options: dict[str, Any] = {
        "model": cohort.request.model,
        "factor": 0.5,
        "engine": "torch",
        "exact_ranks": True,
        "workers": 2,
    }
    begun = tuckerseg.cohort(tmp_path / "scans", tmp_path / "results", **options)
    next(begun)
    assert isinstance(begun, Generator)
    begun.close()
    assert state_of(cohort_in(tmp_path / "results")).running == []
    found = {one.id: one for one in tuckerseg.cohort(tmp_path / "scans", tmp_path / "results", **options)}
    assert set(found) == {"patient_0000/ct", "patient_0001/ct", "bad"}
    assert found["bad"].error and found["bad"].path is None
    one = found["patient_0000/ct"]
    assert one.path and one.path.is_file() and one.volumes and one.seconds > 0
    again = {one.id: one for one in tuckerseg.cohort(tmp_path / "scans", tmp_path / "results", **options)}
    assert set(again) == set(found)
    with pytest.raises(InputError, match="no option factr"):
        tuckerseg.cohort(tmp_path / "scans", tmp_path / "results", factr=1)


def test_as_many_workers_as_cores_and_memory_allow() -> None:
    records = [{"peak_memory": 4_000_000_000}, {"peak_memory": 1_000_000_000}]
    assert workers_that_fit(records, cores=16, memory=20_000_000_000) == 4
    assert workers_that_fit(records, cores=2, memory=64_000_000_000) == 2
    assert workers_that_fit(records, cores=8, memory=26_000_000_000) == 4, "five would leave three cores idle"
    assert workers_that_fit(records, cores=2, memory=1_000_000_000) == 1
    assert workers_that_fit(records, cores=2, memory=1_000_000_000, most=3) == 3


def test_one_line_says_what_a_cohort_will_take() -> None:
    seconds = {"all": 80.0, "stages": {"load": 20.0}}
    done = {"input": {"bytes": 10**8}, "seconds": seconds, "result": {"bytes": 10**6}, "peak_memory": 2 * 10**9}
    line = sentence(expected([{**done, "threads": 1}], [10**8] * 100, workers=2, threads=1))
    assert line == "100 scans to go (10.0 GB): about 50 min on 2 workers, 4.0 GB of memory, 100 MB of disk."

"""Workers, networks, clients and schedulers are killed at any moment: nothing is lost and nothing done twice."""

# mypy: allow-untyped-calls

import json
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.cohorts import one_core_each, small_model, write_scan, write_scans
from support.killing import ALL, CLIENT, NETWORK, OPTIONS, SCHEDULER, TUCKERSEG, WORKER, Run, dask_cluster

import TuckerSegLib as tuckerseg  # noqa: N813
from TuckerSegLib.cohorts.manifest import DONE
from TuckerSegLib.volumes.files import read_volume


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with one_core_each(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_model(tmp_path_factory.mktemp("model")))


def check_all_there_once(results: Path, scans: Sequence[Path], model: str) -> None:
    """Every scan has one result, which is that of the single command, and nothing else is left."""
    lines = (results / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.endswith("}")]
    done = [event["id"] for event in events if event["event"] == DONE]
    assert sorted(done) == sorted(f"{scan.parent.name}/ct" for scan in scans), "each exactly once"
    assert len(list(results.rglob("*.seg.nrrd"))) == len(scans)
    hidden = [path for path in results.rglob("*") if path.is_file() and path.name.startswith(".")]
    working = [path for path in (results / ".cohort").rglob("*") if path.is_file() and path.name != "lock"]
    assert hidden + working == []
    client, request = tuckerseg.Client(), tuckerseg.Request(model, 0.5, exact_ranks=True, engine="torch")
    for scan in scans:
        alone = client.segment(read_volume([scan]), request).wait().label_map.labels
        assert np.array_equal(read_volume([results / scan.parent.name / "ct.seg.nrrd"]).voxels[0], alone), scan
    client.close()


def check_nobody_is_left(folder: Path) -> None:
    """The processes whose client was killed have ended by themselves."""
    left = [one for one in psutil.process_iter(["cmdline"]) if str(folder) in str(one.info["cmdline"])]
    assert not left


def test_thirty_scans_and_five_kills(tmp_path: Path, model: str) -> None:
    scans = write_scans(tmp_path / "scans", 30)
    run = Run(tmp_path / "scans", tmp_path / "results", model)
    run.go_through([NETWORK, WORKER, CLIENT, WORKER, ALL], every=5, patience=600)
    assert run.starts >= 3
    check_all_there_once(tmp_path / "results", scans, model)
    check_nobody_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_scans_and_fifty_kills(tmp_path: Path, model: str) -> None:
    scans = write_scans(tmp_path / "scans", 1000)
    kills = random.Random(0).choices([WORKER, NETWORK, CLIENT, ALL], k=50)
    run = Run(tmp_path / "scans", tmp_path / "results", model)
    run.go_through(kills, every=19, patience=7000)
    check_all_there_once(tmp_path / "results", scans, model)
    check_nobody_is_left(tmp_path)
    print(
        f"1000 of 1000 scans, each once and as alone, after {len(kills)} kills and {run.starts} starts of the command"
    )


@pytest.mark.slow
def test_nine_tenths_of_the_throughput_of_two_plain_workers(tmp_path: Path, model: str) -> None:
    """Between the first fifth of the results and the last, so that no start counts; each way twice, in turns."""
    scans = [write_scan(tmp_path / "scans" / f"scan_{number}.nii.gz", number, (96, 96, 96)) for number in range(40)]
    ours, plain = [], []
    for turn in range(2):
        results = tmp_path / f"cohort_{turn}"
        Run(tmp_path / "scans", results, model).go_through([], every=1, patience=800)
        ours.append(pace(results))
        halves = [tmp_path / f"plain_{turn}_{half}" for half in range(2)]
        commands = [
            [*TUCKERSEG, "segment", *map(str, scans[half::2]), str(folder), *OPTIONS, "--model", model]
            for half, folder in enumerate(halves)
        ]
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        assert [process.wait() for process in running] == [0, 0]
        plain.append(sum(map(pace, halves)))
    assert max(ours) >= 0.9 * max(plain), f"{ours} and {plain} scans a second"


def pace(folder: Path) -> float:
    """Results a second, from the first fifth on."""
    times = sorted(path.stat().st_mtime for path in folder.rglob("*.seg.nrrd"))
    begin = len(times) // 5
    return (len(times) - 1 - begin) / (times[-1] - times[begin])


@pytest.mark.slow
def test_a_scheduler_of_its_own_that_is_killed(tmp_path: Path, model: str) -> None:
    scans = write_scans(tmp_path / "scans", 40)
    with dask_cluster() as cluster:
        run = Run(tmp_path / "scans", tmp_path / "results", model, cluster)
        run.go_through([SCHEDULER, WORKER, CLIENT, NETWORK, SCHEDULER, ALL], every=5, patience=800)
    assert "is gone: start it again and give the same command" in run.said
    check_all_there_once(tmp_path / "results", scans, model)

"""The same request gives the same labels on another day, whatever else the computer did when its choices were made."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.cli.summaries import summary_of
from TuckerSegLib.engines import fastest, layer_times
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.store import CHOICES_VARIABLE
from TuckerSegLib.volumes.volume import Geometry, Volume

SHAPE = (40, 36, 32)

PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

image = np.load(sys.argv[3])
volume = Volume(image, Geometry(image.shape[1:], np.eye(4)))
for factor in (1.0, 0.5):
    found = Session(Cache(Path(sys.argv[1]))).segment(volume, Request(sys.argv[2], factor, device="cpu"))
    print(json.dumps([hashlib.sha256(found.label_map.labels.tobytes()).hexdigest(), dict(found.choices)]), flush=True)
"""

BUSY = "while True: sum(range(100_000))"


def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(0, 300, (1, *SHAPE)).astype(np.int16)
    return Volume(voxels, Geometry(SHAPE, np.eye(4)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model"), features=(16, 32), patch_size=(16, 16, 16)))


def told(monkeypatch: pytest.MonkeyPatch, winner: int) -> None:
    """Every timing, from now on, finds the first or the last of what is compared far faster."""

    def seconds(runs: Sequence[object], *_: object, **__: object) -> list[float]:
        found = [10.0 + number for number in range(len(runs))]
        found[winner] = 1.0
        return found

    for module in (fastest, layer_times):
        monkeypatch.setattr(module, "shortest_seconds", seconds)


def segmented(cache: Path, model: str, factor: float) -> Segmentation:
    return Session(Cache(cache)).segment(volume(), Request(model, factor, device="cpu"))


def holds(later: Segmentation, first: Segmentation) -> bool:
    """Whether all that went into the later run was chosen in the first one, which timed what it compared besides."""
    return all(first.choices.get(key) == choice for key, choice in later.choices.items())


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_what_was_chosen_once_holds_whatever_is_timed_later(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    told(monkeypatch, winner=0)
    first = segmented(tmp_path / "cache", model, factor)
    told(monkeypatch, winner=-1)

    again = segmented(tmp_path / "cache", model, factor)
    elsewhere = segmented(tmp_path / "another cache", model, factor)

    assert again.choices and holds(again, first)
    assert (again.engine, again.policy) == (first.engine, first.policy)
    np.testing.assert_array_equal(again.label_map.labels, first.label_map.labels)
    assert not holds(elsewhere, first), "the two days differ in a way that matters"


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_account_of_a_run_pins_another_one(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    told(monkeypatch, winner=0)
    first = segmented(tmp_path / "cache", model, factor)
    account = tmp_path / "account.json"
    account.write_text(json.dumps(summary_of(first, tmp_path / "out.nrrd")))
    told(monkeypatch, winner=-1)
    monkeypatch.setenv(CHOICES_VARIABLE, str(account))

    pinned = segmented(tmp_path / "another cache", model, factor)

    assert pinned.choices and holds(pinned, first)
    assert not any("do not hold" in sentence for sentence in pinned.warnings)
    assert (pinned.engine, pinned.policy) == (first.engine, first.policy)
    np.testing.assert_array_equal(pinned.label_map.labels, first.label_map.labels)


def test_a_choice_that_is_not_pinned_is_told(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "choices.json").write_text(json.dumps({"choices": {"of another computer": {"engine": "fused"}}}))
    monkeypatch.setenv(CHOICES_VARIABLE, str(tmp_path / "choices.json"))

    found = segmented(tmp_path / "cache", model, 1.0)

    assert any("do not hold for all of this run" in sentence for sentence in found.warnings)


@pytest.mark.slow
def test_ten_processes_busy_or_not_and_two_fresh_caches_agree_to_the_bit(tmp_path: Path, model: str) -> None:
    np.save(tmp_path / "image.npy", volume().voxels)

    def answers(cache: str, processes: int, **variables: str) -> list[list[str]]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / cache), model, str(tmp_path / "image.npy")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)
        ]
        return [process.communicate(timeout=800)[0].splitlines() for process in started]

    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        found = answers("cache", 4)  # at once, on a cache that is empty, on a busy computer
    finally:
        for process in busy:
            process.kill()
            process.wait()
    found += answers("cache", 3) + answers("cache", 1)
    accounts = [json.loads(line)[1] for line in found[-1]]
    (tmp_path / "choices.json").write_text(json.dumps({"segmentations": [{"choices": one} for one in accounts]}))
    found += answers("another cache", 2, **{CHOICES_VARIABLE: str(tmp_path / "choices.json")})

    assert [len(lines) for lines in found] == [2] * 10
    for factor in (0, 1):
        digests = [json.loads(lines[factor])[0] for lines in found]
        assert len(set(digests)) == 1, digests

"""As many cores as were asked for are taken, for as long as the run lasts, and the log says how many."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trained_folders import make_folder

from TuckerSegLib import threads
from TuckerSegLib.errors import InputError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation import one_model
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.threads import ALL, ALL_BUT_ONE, cores
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.waiting import as_usual
from TuckerSegLib.worker.process import environment


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    threads._allowed_once.cache_clear()
    yield
    monkeypatch.undo()
    threads._allowed_once.cache_clear()
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("wanted", "usual", "taken"),
    [(3, 2, 3), (16, 2, 16), (ALL, 4, 4), (ALL_BUT_ONE, 4, 3), (ALL_BUT_ONE, 2, 2), (ALL_BUT_ONE, 1, 1)],
)
def test_cores_are_taken_as_asked_and_given_back(
    wanted: int, usual: int, taken: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threads, "_usual", lambda: usual)
    before = torch.get_num_threads()
    with caplog.at_level(logging.INFO), cores(wanted):
        assert torch.get_num_threads() == taken
    assert torch.get_num_threads() == before
    assert any(message.startswith(f"Takes {taken} of ") for message in caplog.messages)


def test_on_macos_the_number_holds_for_the_life_of_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with cores(1):
        assert torch.get_num_threads() == 1
    with cores(3):
        assert torch.get_num_threads() == 1
    assert any("stays as it was" in message for message in caplog.messages)


def test_all_cores_are_all_whatever_the_caller_took_before_the_first_run() -> None:
    script = (
        "import torch, TuckerSegLib.threads as t; usual = torch.get_num_threads(); torch.set_num_threads(usual + 1)\n"
        "with t.cores(t.ALL): print(torch.get_num_threads() - usual)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_a_thread_keeps_the_number_that_it_set_whatever_others_set_later() -> None:
    """PyTorch gives a thread, at its first operation, the number that any thread set last."""
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=threads.set_threads, initargs=(1,)) as pool:
        pool.submit(int).result()
        threads.set_threads(2)
        taken = pool.submit(lambda: (torch.ones(100_000) + 1, torch.get_num_threads())[1]).result()
    threads.set_threads(before)
    assert taken == 1


def test_threads_that_wait_sleep_soon_but_for_programs_that_are_not_ours() -> None:
    """A process of ours says so to OpenMP before PyTorch is imported; one that has other work too, or what a benchmark
    compares with, does not.
    """
    ours = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}

    def found(imported: str, variables: Mapping[str, str]) -> str:
        script = f"import os, {imported}; print(os.environ.get('GOMP_SPINCOUNT'))"
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()

    assert found("TuckerSegLib", ours) == "None"
    assert found("TuckerSegLib.cli.main", ours) == "10000"
    assert found("TuckerSegLib.cli.main", as_usual(ours)) == "300000"
    assert found("TuckerSegLib.cli.main", {**ours, "GOMP_SPINCOUNT": "7"}) == "7"
    assert environment(ours).items() >= {"GOMP_SPINCOUNT": "10000"}.items()


def test_a_run_takes_the_cores_that_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path, patch_size=(8, 8, 8), features=(4, 8))
    voxels = np.random.default_rng(0).normal(50, 300, (1, 10, 9, 8)).astype(np.float32)
    volume = Volume(voxels, Geometry((10, 9, 8), np.diag([1.5, 1.5, 1.5, 1.0])))
    seen: list[int] = []
    usual = one_model.predict  # type: ignore[attr-defined]

    def predict(*arguments: Any, **options: Any) -> Any:
        seen.append(torch.get_num_threads())
        return usual(*arguments, **options)

    monkeypatch.setattr(one_model, "predict", predict)
    session = Session(Cache(tmp_path / "cache"))
    for count in (1, 3):
        session.segment(volume, Request(str(folder), engine="torch", threads=count))
    assert seen == [1, 3]


@pytest.mark.parametrize("count", [-2, 1_000_000])
def test_what_is_no_number_of_cores_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="is no number of cores"):
        Request(threads=count)

"""Where a launcher starts the worker, as 3D Slicer's Python does, it is the worker that is meant, not the launcher."""

import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.processes import is_gone_within
from support.trained_folders import make_folder

from TuckerSegLib.errors import Cancelled, WorkerError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.client import Client
from TuckerSegLib.worker.endings import allowed_memory, how_it_ended, memory_kills

LAUNCHER = f"""#!{sys.executable}
import os, subprocess, sys, threading
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE)

def forward():
    while part := os.read(0, 65536):
        os.write(child.stdin.fileno(), part)
    child.stdin.close()

threading.Thread(target=forward, daemon=True).start()
os._exit(1 if child.wait() else 0)
"""
"""Starts the real Python as its child, forwards its input, and ends with a code of its own."""
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the launcher of these tests is a script with a first line")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(LAUNCHER)
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    client = Client(str(launcher))
    yield client
    client.close()


def worker_of(client: Client) -> int:
    """The process that works, once it does."""
    client.call("ping").wait()
    assert client.pid
    assert psutil.Process(client.pid).parent().name() != "pytest"
    return client.pid


def test_the_worker_tells_its_own_process(client: Client) -> None:
    worker = worker_of(client)
    assert "TuckerSegLib.worker.server" in " ".join(psutil.Process(worker).cmdline())
    assert psutil.Process(worker).parent().pid != os.getpid()


def test_a_worker_that_hangs_is_killed_and_the_next_request_runs(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("TuckerSegLib.worker.jobs._SECONDS_TO_CANCEL", 0.2)
    worker = worker_of(client)
    os.kill(worker, signal.SIGSTOP)
    job = client.call("ping")

    job.cancel()

    with pytest.raises(Cancelled):
        job.wait()
    assert is_gone_within(PATIENCE, worker)
    volume = Volume(np.zeros((1, 16, 16, 16), np.int16), Geometry((16, 16, 16), np.eye(4)))
    assert client.segment(volume, Request(str(make_folder(tmp_path)))).wait().label_map.labels.shape == (16, 16, 16)


def test_closing_ends_a_worker_that_hangs(client: Client) -> None:
    worker = worker_of(client)
    os.kill(worker, signal.SIGSTOP)

    client.close()

    assert is_gone_within(PATIENCE, worker)


def test_a_launcher_that_says_nothing_of_its_child_s_death(client: Client, tmp_path: Path) -> None:
    worker = worker_of(client)
    model = str(make_folder(tmp_path, features=(16, 32), patch_size=(32, 32, 32)))
    volume = Volume(np.zeros((1, 64, 64, 64), np.int16), Geometry((64, 64, 64), np.eye(4)))
    job = client.segment(volume, Request(model, engine="torch"))
    while not job.poll():
        assert not job.done

    os.kill(worker, signal.SIGKILL)

    with pytest.raises(WorkerError, match="without a word"):
        job.wait()


@pytest.mark.parametrize(
    ("code", "log", "says"),
    [
        (-9, "", "killed, perhaps by the system for lack of memory"),
        (137, "", "killed, perhaps by the system for lack of memory"),
        (1, "ImportError: a.so: failed to map segment from shared object", "ended for lack of memory"),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3 GiB", "ended for lack of memory"),
        (1, "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.", "ended for lack of memory"),
        (-11, "", "access to memory"),
        (139, "INFO models: opened", "access to memory"),
        (-4, "", "an instruction that this processor does not have"),
        (-1073741819, "", "access to memory"),
        (0xC0000017, "", "for lack of memory"),
        (0xC0000409, "", "abort"),
        (1, "INFO models: opened", "ended with code 1 and without a word, most likely for lack of memory"),
        (1, "Traceback (most recent call last):\n  ...", "ended with code 1"),
        (-15, "", "ended by SIGTERM"),
    ],
)
def test_every_ending_has_words(code: int, log: str, says: str) -> None:
    assert says in how_it_ended(code, log)
    assert ("without a word" in how_it_ended(code, log)) == ("without a word" in says)


def test_not_every_kill_is_lack_of_memory() -> None:
    assert how_it_ended(-9, "", killed_for_memory=True) == "was killed by the system for lack of memory"
    assert "another program" in how_it_ended(-9, "", killed_for_memory=False)
    assert how_it_ended(1, "", killed_for_memory=False) == "ended with code 1 and without a word"


def test_a_limit_that_nothing_could_start_within_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("TuckerSegLib.worker.endings.allowed_memory", lambda: 900_000_000)
    said = how_it_ended(1, "Traceback (most recent call last):\nAttributeError: partially initialized module")
    assert said == "ended with code 1, most likely for lack of memory (it may have 0.9 GB)"
    monkeypatch.setattr("TuckerSegLib.worker.endings.allowed_memory", lambda: 64_000_000_000)
    assert how_it_ended(1, "Traceback") == "ended with code 1"


def test_the_limit_is_that_of_this_process() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (10**15, before[1]))
    try:
        assert allowed_memory() == 10**15
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what it kills for lack of memory")
def test_linux_counts_what_it_kills_for_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = memory_kills()
    assert count is None or count >= 0
    (tmp_path / "vmstat").write_text("nr_free_pages 12\noom_kill 7\n")
    monkeypatch.setattr("TuckerSegLib.worker.endings._COUNTS", tmp_path / "vmstat")
    assert memory_kills() == 7
    monkeypatch.setattr("TuckerSegLib.worker.endings._COUNTS", tmp_path / "none")
    assert memory_kills() is None

"""Where a launcher starts the worker, as 3D Slicer's Python does, it is the worker that is meant, not the launcher."""

import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.trained_folders import make_folder

from TuckerSegLib.errors import Cancelled, WorkerError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.client import Client
from TuckerSegLib.worker.endings import how_it_ended

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


def is_gone(pid: int) -> bool:
    end = time.monotonic() + PATIENCE
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


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
    assert is_gone(worker)
    volume = Volume(np.zeros((1, 16, 16, 16), np.int16), Geometry((16, 16, 16), np.eye(4)))
    assert client.segment(volume, Request(str(make_folder(tmp_path)))).wait().label_map.labels.shape == (16, 16, 16)


def test_closing_ends_a_worker_that_hangs(client: Client) -> None:
    worker = worker_of(client)
    os.kill(worker, signal.SIGSTOP)

    client.close()

    assert is_gone(worker)


def test_a_launcher_that_says_nothing_of_its_child_s_death(client: Client) -> None:
    worker = worker_of(client)
    os.kill(worker, signal.SIGSTOP)
    job = client.call("ping")

    os.kill(worker, signal.SIGKILL)

    with pytest.raises(WorkerError, match="without a word, most likely for lack of memory"):
        job.wait()


@pytest.mark.parametrize(
    ("code", "log", "says"),
    [
        (-9, "", "killed, most likely by the system for lack of memory"),
        (137, "", "killed, most likely by the system for lack of memory"),
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

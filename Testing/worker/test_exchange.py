"""What a client and its worker share can be opened by nobody else, and leaves nothing behind."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.errors import NotEnoughMemory, WorkerError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker import exchange
from TuckerSegLib.worker.client import Client
from TuckerSegLib.worker.exchange import attach, share, sweep

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has memory with names in place of files")

PLACES = [place for place in (Path("/dev/shm"), Path(tempfile.gettempdir())) if place.is_dir()]


@pytest.fixture
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files have names, as they have where /proc does not show the files of a process."""
    wanted = bool(getattr(request, "param", False))
    if wanted:
        monkeypatch.setattr(exchange._NamelessFile, "can_be_opened", False)
    return wanted


@pytest.fixture
def few_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own in place of those that all programs share."""
    monkeypatch.setattr(exchange, "_places", lambda: [str(tmp_path)])
    return tmp_path


def in_another_process(program: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.check_output([sys.executable, "-c", program, *arguments], text=True, env=environment).strip()


@pytest.mark.parametrize("named", [False, True], indirect=True)
@pytest.mark.parametrize("dtype", ["uint8", ">i2", "float64", "bool"])
def test_an_array_arrives_in_another_process(named: bool, dtype: str) -> None:
    array = np.arange(60).reshape(3, 4, 5).astype(dtype)[:, ::-1]
    sent = share(array)

    program = "import sys, json; from TuckerSegLib.worker.exchange import attach\n" + (
        "array = attach(json.loads(sys.argv[1])).array\nprint(array.dtype.str, array.astype(float).sum())\n"
        "array[...] = 1"
    )
    kind, total = in_another_process(program, json.dumps(sent.described)).split()

    assert np.dtype(kind) == np.dtype(dtype).newbyteorder("=")
    assert float(total) == array.astype(float).sum()
    assert (sent.array == 1).all()
    sent.remove()


@pytest.mark.parametrize("named", [False, True], indirect=True)
def test_nobody_else_can_open_what_is_shared(named: bool, few_places: Path) -> None:
    sent = share(np.ones(10))

    state = os.stat(sent.described["at"])
    assert stat.S_IMODE(state.st_mode) == 0o600 and state.st_uid == os.geteuid()
    assert len(list(few_places.iterdir())) == named
    sent.remove()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no entry in /proc")
def test_on_linux_nothing_shared_has_a_name(few_places: Path) -> None:
    sent = share(np.ones(10))

    assert list(few_places.iterdir()) == []
    np.testing.assert_array_equal(attach(sent.described).array, np.ones(10))
    sent.remove()


@pytest.mark.parametrize("named", [True], indirect=True)
def test_a_name_goes_as_soon_as_both_have_the_file(named: bool, few_places: Path) -> None:
    sent = share(np.arange(10))

    arrived = attach(sent.described)

    assert list(few_places.iterdir()) == []
    np.testing.assert_array_equal(arrived.array, np.arange(10))
    sent.remove()


@pytest.mark.parametrize("named", [False, True], indirect=True)
def test_what_is_not_shared_any_more_cannot_be_attached_to(named: bool, few_places: Path) -> None:
    sent = share(np.ones(10))
    sent.remove()

    others = [open(few_places / str(number), "w+b") for number in range(20)]  # noqa: SIM115  one gets the number

    with pytest.raises(WorkerError, match="not there any more"):
        attach(sent.described)
    for other in others:
        other.close()


@pytest.mark.parametrize("named", [True], indirect=True)
def test_a_file_or_link_that_another_put_in_its_place_is_refused(named: bool, few_places: Path) -> None:
    sent, other = share(np.ones(10)), few_places / "other"
    other.write_bytes(bytes(80))
    path = Path(sent.described["at"])

    path.unlink()
    path.symlink_to(other)

    with pytest.raises(WorkerError, match="not there any more"):
        attach(sent.described)
    assert other.read_bytes() == bytes(80)


def test_a_process_that_is_killed_leaves_nothing_once_another_starts(
    few_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import os, sys, numpy; from TuckerSegLib.worker import exchange\n"
        "exchange._places = lambda: [sys.argv[1]]\nexchange._NamelessFile.can_be_opened = False\n"
        "kept = exchange.share(numpy.ones(10)); print(flush=True); os.kill(os.getpid(), 9)"
    )
    with pytest.raises(subprocess.CalledProcessError):
        in_another_process(program, str(few_places))
    monkeypatch.setattr(exchange._NamelessFile, "can_be_opened", False)
    mine, strange = share(np.ones(10)), few_places / "tuckerseg-notes"
    strange.touch()
    assert len(list(few_places.iterdir())) == 3

    sweep()

    assert sorted(few_places.iterdir()) == sorted([Path(mine.described["at"]), strange])
    mine.remove()


def test_goes_to_the_disk_where_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_places", lambda: ["/nowhere", str(tmp_path)])
    monkeypatch.setattr(exchange._NamelessFile, "can_be_opened", False)

    sent = share(np.ones(10))

    assert Path(sent.described["at"]).parent == tmp_path
    sent.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "said"), [(10, "no room for 1 MB"), (3_000_000, "no room for 24 MB")])
def test_says_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch, size: int, said: str) -> None:
    monkeypatch.setattr(exchange, "_places", lambda: ["/dev/full/x"])

    with pytest.raises(NotEnoughMemory, match=said):
        share(np.ones(size))


class TestTheWorker:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        return str(make_folder(tmp_path_factory.mktemp("model"), features=(16, 16, 32), patch_size=(32, 32, 32)))

    @pytest.fixture
    def client(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
        monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
        client = Client()
        yield client
        client.close()

    def test_neither_the_process_list_nor_a_folder_tells_where_the_image_is(self, client: Client, model: str) -> None:
        """Whoever reads the name of what is shared before it is there could put something of their own in its place."""
        before = {path for place in PLACES for path in place.iterdir()}
        volume = Volume(np.zeros((1, 90, 90, 90), np.int16), Geometry((90, 90, 90), np.eye(4)))

        job = client.segment(volume, Request(model, engine="torch"))
        client_pid = client.pid
        while not job.done and not any(event.stage == "predict" for event in job.poll()):
            time.sleep(0.02)

        assert client_pid and job.shared
        shown = " ".join(psutil.Process(client_pid).cmdline())
        assert shown.endswith("TuckerSegLib.worker.server")
        here = {path for place in PLACES for path in place.iterdir()} - before
        assert [path for path in here if f"-{os.getpid()}-" in path.name or f"-{client_pid}-" in path.name] == []
        job.cancel()

    @pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
    def test_a_signal_ends_it_while_it_still_imports(self, client: Client, number: str) -> None:
        if signal.getsignal(getattr(signal, number)) == signal.SIG_IGN:
            pytest.skip("whoever started the tests has the signal ignored, as nohup does")
        job = client.call("ping")
        assert client.pid
        time.sleep(1)

        os.kill(client.pid, getattr(signal, number))

        with pytest.raises(WorkerError, match=f"was ended by {number}"):
            job.wait()

"""Whatever is killed, and whenever: the next request is answered rightly, and nothing is left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT
from support.processes import is_gone_within
from support.trained_folders import make_folder

from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.totalsegmentator.weights import import_archive
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.store import Store
from TuckerSegLib.volumes.output import whole_file
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.client import Client

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends processes in another way")

SHAPE = (40, 40, 36)

ENDING = [getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

SIGNALS = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
"""Those that end a process started here: under `nohup` a closing terminal does not."""

PATIENCE = 60.0
"""Seconds; a worker without a client ends within a patch, and tests may run beside much else."""

CLIENT = """
import sys
import numpy as np
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.client import Client

client = Client()
volume = Volume(np.load(sys.argv[2]), Geometry({shape}, np.eye(4)))
request = Request(sys.argv[1], 0.5, engine="torch", exact_ranks=True)
job = client.segment(volume, request)
print(client.pid, flush=True)
while True:
    job.wait().save(sys.argv[3])
    client.call("cache_clear").wait()
    print("again", flush=True)
    job = client.segment(volume, request)
"""


def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(0, 300, (1, *SHAPE)).astype(np.int16)
    return Volume(voxels, Geometry(SHAPE, np.eye(4)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model"), features=(8, 16), patch_size=(16, 16, 16)))


@pytest.fixture(scope="module")
def request_(model: str) -> Request:
    return Request(model, 0.5, engine="torch", exact_ranks=True)


@pytest.fixture(scope="module")
def right(request_: Request) -> bytes:
    """The labels of a run that nobody disturbs."""
    return Session(Cache(Path(tempfile.mkdtemp()))).segment(volume(), request_).label_map.labels.tobytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def client(cache: Path) -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


def what_is_left(others: set[Path], *pids: int) -> list[str]:
    """Those of these processes that live, and what they or this one shared that has a name, but for `others`."""
    alive = [f"process {pid}" for pid in pids if not is_gone_within(PATIENCE, pid)]
    return alive + [str(path) for path in sorted(shared_by(*pids, os.getpid()) - others)]


def shared_by(*pids: int) -> set[Path]:
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    return {path for place in places for pid in pids for path in place.glob(f"tuckerseg-{pid}-*")}


def kill_the_worker(client: Client, request: Request, right: bytes, moments: int, seed: int) -> None:
    """At random moments of a request: while it starts, imports, compresses, keeps, segments and answers."""
    chance, others = random.Random(seed), shared_by(os.getpid())
    start = time.monotonic()
    assert client.segment(volume(), request).wait().label_map.labels.tobytes() == right
    longest = 1.1 * (time.monotonic() - start)
    client.close()
    for _ in range(moments):
        job = client.segment(volume(), request)
        end = time.monotonic() + chance.uniform(0, longest)
        while time.monotonic() < end and not job.done:
            job.poll()
        pid = client.pid
        assert pid
        if client.running:
            os.kill(pid, chance.choice(SIGNALS))
        while not job.done:
            job.poll()
        assert client.segment(volume(), request).wait().label_map.labels.tobytes() == right
        assert what_is_left(others, pid) == []
        if chance.random() < 0.5:
            client.call("cache_clear").wait()
        if chance.random() < 0.5:
            client.close()
    client.close()
    assert not Cache()._files.unfinished()
    print(f"{moments} of {moments} killed workers: the next request was answered rightly, and nothing was left")


def test_a_worker_killed_at_some_moments(client: Client, request_: Request, right: bytes) -> None:
    kill_the_worker(client, request_, right, moments=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_worker_killed_at_many_moments(client: Client, request_: Request, right: bytes) -> None:
    kill_the_worker(client, request_, right, moments=60, seed=2)


def kill_the_client(folder: Path, model: str, right: bytes, moments: int, seed: int) -> None:
    """Alone, or together with its worker, by what a closing terminal, a task manager and a shutdown send."""
    chance, others = random.Random(seed), shared_by(os.getpid())
    np.save(folder / "image.npy", volume().voxels)
    output = folder / "out" / "labels.nii.gz"
    output.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", CLIENT.format(shape=SHAPE), model, str(folder / "image.npy"), str(output)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(moments):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        assert process.stdout
        worker = int(process.stdout.readline())
        time.sleep(chance.uniform(0, 4))
        number = chance.choice(SIGNALS)
        for pid in chance.choice(([process.pid], [process.pid, worker], [worker, process.pid])):
            os.kill(pid, number)
        process.communicate(timeout=PATIENCE)
        assert what_is_left(others, process.pid, worker) == []
    request = Request(model, 0.5, engine="torch", exact_ranks=True)
    for left in output.parent.glob(".*"):
        os.utime(left, (0, 0))  # long ago
    found = Session().segment(volume(), request)
    found.save(output)
    assert found.label_map.labels.tobytes() == right
    assert list(output.parent.iterdir()) == [output]
    Cache().limit = 10**9  # looks after what is there
    assert not Cache()._files.unfinished()
    print(f"{moments} of {moments} killed clients: no worker outlived them for long, and nothing was left")


def test_a_client_killed_at_some_moments(tmp_path: Path, cache: Path, model: str, right: bytes) -> None:
    kill_the_client(tmp_path, model, right, moments=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_client_killed_at_many_moments(tmp_path: Path, cache: Path, model: str, right: bytes) -> None:
    kill_the_client(tmp_path, model, right, moments=40, seed=2)


# Moments that matter: what appears whole does so by a renaming.

KILLED_AT_A_RENAMING = """
import os, signal, sys
from pathlib import Path

real = os.replace


def replace(source, target):
    if sys.argv[2] == "after":
        real(source, target)
    os.kill(os.getpid(), signal.SIGKILL)


os.replace = replace
place = Path(sys.argv[1])
"""

Deed = tuple[str, Callable[[Path], None]]


def keep(place: Path) -> None:
    Store(place / "cache").write("key", b"content")


def choose(place: Path) -> None:
    Store(place / "cache").choose("which", {"winner": "a"})


def write(place: Path) -> None:
    with whole_file(place / "out.nrrd") as file:
        file.write_bytes(b"whole")


def unpack(place: Path) -> None:
    import_archive(place / "a.zip")


DEEDS: dict[str, Deed] = {
    "what engines keep": (
        "from TuckerSegLib.store import Store\nStore(place / 'cache').write('key', b'content')",
        keep,
    ),
    "a choice": (
        "from TuckerSegLib.store import Store\nStore(place / 'cache').choose('which', {'winner': 'a'})",
        choose,
    ),
    "a result": (
        "from TuckerSegLib.volumes.output import whole_file\n"
        "with whole_file(place / 'out.nrrd') as file:\n    file.write_bytes(b'whole')",
        write,
    ),
    "weights": (
        "from TuckerSegLib.models.totalsegmentator.weights import import_archive\nimport_archive(place / 'a.zip')",
        unpack,
    ),
}


def everything(place: Path) -> dict[str, bytes]:
    """Each file but locks, and what it holds."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def prepared(place: Path) -> Path:
    place.mkdir()
    with zipfile.ZipFile(place / "a.zip", "w") as files:
        for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            files.writestr(zipfile.ZipInfo(f"Dataset298_x/a__b__c/{name}"), json.dumps(name))
    (place / "weights").mkdir()
    return place


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("deed", DEEDS)
def test_killed_at_the_moment_in_which_something_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str, moment: str
) -> None:
    program, do = DEEDS[deed]
    undisturbed, killed = prepared(tmp_path / "undisturbed"), prepared(tmp_path / "killed")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(undisturbed / "weights"))
    do(undisturbed)
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(killed / "weights"))

    command = [sys.executable, "-c", KILLED_AT_A_RENAMING + program, str(killed), moment]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    for left in killed.rglob(".*"):
        os.utime(left, (0, 0))  # long ago
    do(killed)
    assert everything(killed) == everything(undisturbed)

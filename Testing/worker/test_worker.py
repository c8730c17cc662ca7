"""The worker segments as the library does, tells how far it is, stops when asked, and never outlives its client."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.paths import ROOT
from support.processes import is_gone
from support.trained_folders import make_folder

from TuckerSegLib.errors import (
    Cancelled,
    InputError,
    ModelError,
    NotEnoughMemory,
    OutputError,
    TuckerSegError,
    WorkerError,
)
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.recent import Recent
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.dice import mean_dice
from TuckerSegLib.volumes.phantoms.phantom import phantom
from TuckerSegLib.volumes.phantoms.seeds import TESTS
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker import process, protocol
from TuckerSegLib.worker.client import Client
from TuckerSegLib.worker.jobs import Job

OBLIQUE = np.array([[-1.2, 0.1, 0.0, 7.5], [0.1, 1.3, 0.2, -31.0], [0.0, -0.2, 1.5, 12.25], [0, 0, 0, 1]])
PATIENCE = 60.0


def scan(shape: tuple[int, int, int] = (26, 22, 24), dtype: str = "int16", channels: int = 1) -> Volume:
    voxels = np.random.default_rng(0).normal(50, 300, (channels, *shape))
    return Volume(np.abs(voxels).astype(dtype), Geometry(shape, OBLIQUE))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """About a tenth of a second a patch; dozens of patches in a `big` volume."""
    return str(make_folder(tmp_path_factory.mktemp("slow"), features=(16, 16, 32), patch_size=(32, 32, 32)))


@pytest.fixture(scope="module")
def big() -> Volume:
    return scan((100, 100, 90))


@pytest.fixture(scope="module")
def client(cache: Path) -> Iterator[Client]:
    """One worker for all tests that leave it alive."""
    client = Client()
    yield client
    client.close()


@pytest.fixture
def own_client(cache: Path) -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


def until(true: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def until_it_predicts(job: Job) -> None:
    """The network has run at least twice."""
    told = 0

    def predicting() -> bool:
        nonlocal told
        told += sum(progress.stage == "predict" for progress in job.poll())
        return told > 3 or job.done

    assert until(predicting)
    assert not job.done


def left_behind() -> list[Path]:
    """What this process shared under a name that it still has."""
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    return [path for place in places for path in place.glob(f"tuckerseg-{os.getpid()}-*")]


class TestSegmenting:
    @pytest.mark.parametrize(("factor", "dtype"), [(1.0, "int16"), (0.5, "float32"), (0.3, "uint8")])
    def test_gives_what_the_library_gives(self, client: Client, model: str, factor: float, dtype: str) -> None:
        volume = scan(dtype=dtype)

        request = Request(model, factor, engine="torch")

        finished = client.segment(volume, request).wait()

        expected = Session().segment(volume, request).label_map
        np.testing.assert_array_equal(finished.label_map.labels, expected.labels)
        np.testing.assert_array_equal(finished.label_map.geometry.ijk_to_ras, volume.geometry.ijk_to_ras)
        assert finished.label_map.names == expected.names
        assert finished.label_map.labels.dtype == expected.labels.dtype
        assert finished.label_map.labels.flags.writeable

    def test_exact_ranks_are_the_published_ones(self, client: Client, model: str) -> None:
        levels = client.call("levels", model=model).wait()["levels"]
        published = next(level["parameters_removed"] for level in levels if level["factor"] == 0.3)

        finished = client.segment(scan(), Request(model, 0.3, exact_ranks=True)).wait()
        fitted = client.segment(scan(), Request(model, 0.3)).wait()

        assert finished.parameters_removed == pytest.approx(published)
        assert fitted.parameters_removed <= published

    @pytest.mark.slow
    def test_fitted_to_the_scan_it_agrees_better_with_the_original(self, client: Client) -> None:
        volume = phantom(TESTS[90]).image
        original = client.segment(volume, Request("sample-small", engine="fused")).wait()
        plain = client.segment(volume, Request("sample-small", 0.3, engine="fused", exact_ranks=True)).wait()

        finished = client.segment(volume, Request("sample-small", 0.3, engine="fused", fit_to_scan=True)).wait()

        agreement = [mean_dice(original.label_map.labels, one.label_map.labels) for one in (plain, finished)]
        assert agreement[1] > agreement[0] + 0.3
        assert finished.parameters_removed >= plain.parameters_removed - 1e-3

    def test_says_what_it_took(self, client: Client, model: str) -> None:
        image = scan()
        as_ct = replace(image, voxels=np.subtract(image.voxels, 500, dtype=np.int16))
        finished = client.segment(as_ct, Request(model, engine="torch")).wait()

        assert set(finished.seconds) == {"load", "preprocess", "predict", "postprocess"}
        assert finished.engine == "torch"
        assert (finished.policy["factor"], finished.parameters_removed, finished.warnings) == (1.0, 0.0, [])
        assert 50e6 < finished.peak_memory < 5e9

    def test_tells_how_far_it_is(self, client: Client, slow_model: str) -> None:
        job = client.segment(scan((60, 50, 40)), Request(slow_model, engine="torch"))
        told = []
        seen_while_running = 0
        while not job.done:
            told += job.poll()
            seen_while_running = len(told)
            time.sleep(0.02)
        told += job.poll()

        assert seen_while_running > 5
        stages = list(dict.fromkeys(progress.stage for progress in told if progress.stage != "start"))
        assert stages == ["load", "preprocess", "predict", "postprocess"]
        assert all(before.fraction <= after.fraction for before, after in pairwise(told))
        assert told[-1].fraction == 1.0
        assert any(progress.seconds_left for progress in told)

    def test_keeps_only_the_structures_asked_for(self, client: Client, model: str) -> None:
        everything = client.segment(scan(), Request(model)).wait().label_map

        kept = client.segment(scan(), Request(model, structures=("structure_2",))).wait().label_map

        assert kept.names == {2: "structure_2"}
        np.testing.assert_array_equal(kept.labels == 2, everything.labels == 2)
        assert set(np.unique(kept.labels)) == {0, 2}

    def test_of_the_volume_as_it_was_when_asked(self, client: Client, model: str) -> None:
        volume = scan()
        expected = client.segment(volume, Request(model)).wait().label_map.labels

        job = client.segment(volume, Request(model))
        volume.voxels[...] = 0

        np.testing.assert_array_equal(job.wait().label_map.labels, expected)

    def test_requests_wait_for_each_other(self, client: Client, model: str) -> None:
        jobs = [client.segment(scan(), Request(model, factor)) for factor in (1.0, 0.5, 1.0)]
        asked = client.call("ping")

        assert "torch" in asked.wait()
        assert all(job.done for job in jobs)
        first, _, last = (job.result().label_map.labels for job in jobs)
        np.testing.assert_array_equal(first, last)

    def test_leaves_nothing_shared(self, client: Client, model: str) -> None:
        client.segment(scan(), Request(model)).wait()

        assert left_behind() == []

    def test_opens_no_socket(self, client: Client, slow_model: str, big: Volume) -> None:
        job = client.segment(big, Request(slow_model))
        until_it_predicts(job)

        assert client.pid
        worker = psutil.Process(client.pid)
        family = [worker, *worker.children(recursive=True)]
        assert [connection for member in family for connection in member.net_connections("all")] == []
        job.cancel()

    def test_keeps_what_the_allocator_frees(self, client: Client) -> None:
        client.call("ping").wait()

        assert client.pid
        environment = psutil.Process(client.pid).environ()
        assert environment["MALLOC_MMAP_MAX_"] == "0"
        assert int(environment["MALLOC_TRIM_THRESHOLD_"]) > 2**30


class TestWarmth:
    def test_the_same_level_is_not_loaded_again(self, client: Client, slow_model: str) -> None:
        request = Request(slow_model, 0.7, exact_ranks=True)
        cold = client.segment(scan(), request).wait()
        warm = client.segment(scan(), request).wait()

        assert not cold.cache_hit
        assert warm.cache_hit
        assert warm.seconds["load"] < 0.1 * max(cold.seconds["load"], 0.5)

    def test_a_model_that_changes_on_disk_is_opened_again(self, client: Client, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "a", seed=1)
        before = client.segment(scan(), Request(str(folder))).wait().label_map.labels
        other = make_folder(tmp_path / "b", seed=2)
        os.replace(other / "fold_0" / "checkpoint_final.pth", folder / "fold_0" / "checkpoint_final.pth")

        after = client.segment(scan(), Request(str(folder))).wait().label_map.labels

        expected = Session().segment(scan(), Request(str(folder))).label_map.labels
        np.testing.assert_array_equal(after, expected)
        assert (after != before).any()

    def test_what_was_used_longest_ago_is_given_up_first(self) -> None:
        recent: Recent[int] = Recent(limit=10, size_of=lambda size: size)
        for key, size in (("a", 4), ("b", 5), ("a", 4), ("c", 3)):
            recent.get(key, lambda size=size: size)  # type: ignore[misc]

        assert recent.get("a", lambda: 0) == (4, True)
        assert recent.get("c", lambda: 0) == (3, True)
        assert recent.get("b", lambda: 1) == (1, False)

    def test_the_newest_is_kept_however_large(self) -> None:
        recent: Recent[int] = Recent(limit=10, size_of=lambda size: size)
        recent.get("small", lambda: 1)

        assert recent.get("large", lambda: 99) == (99, False)
        assert recent.get("large", lambda: 0) == (99, True)
        assert len(recent) == 1


class TestCancelling:
    def test_takes_effect_within_a_patch_and_keeps_the_worker(
        self, client: Client, slow_model: str, big: Volume
    ) -> None:
        job = client.segment(big, Request(slow_model))
        until_it_predicts(job)
        pid = client.pid

        job.cancel()

        assert until(lambda: job.done, 3)
        with pytest.raises(Cancelled):
            job.result()
        client.call("ping").wait()
        assert client.pid == pid

    def test_a_request_that_waits(self, client: Client, slow_model: str, big: Volume, model: str) -> None:
        first = client.segment(big, Request(slow_model))
        waiting = client.segment(scan(), Request(model))

        waiting.cancel()

        assert waiting.done
        with pytest.raises(Cancelled):
            waiting.wait()
        assert not first.done
        first.cancel()
        with pytest.raises(Cancelled):
            first.wait()

    def test_what_is_done_stays_done(self, client: Client, model: str) -> None:
        job = client.segment(scan(), Request(model))
        job.wait()

        job.cancel()

        assert isinstance(job.result(), Segmentation)

    def test_kills_a_worker_that_does_not_listen(
        self, own_client: Client, slow_model: str, big: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("TuckerSegLib.worker.jobs._SECONDS_TO_CANCEL", 0.5)
        job = own_client.segment(big, Request(slow_model))
        until_it_predicts(job)
        assert own_client.pid
        pid = own_client.pid
        os.kill(pid, signal.SIGSTOP)

        job.cancel()

        with pytest.raises(Cancelled):
            job.wait()
        assert is_gone(pid)

    def test_ctrl_c_is_left_to_the_client(self, client: Client, slow_model: str, big: Volume) -> None:
        job = client.segment(big, Request(slow_model))
        until_it_predicts(job)

        assert client.pid
        os.kill(client.pid, signal.SIGINT)
        job.cancel()

        with pytest.raises(Cancelled):
            job.wait()


class TestErrors:
    @pytest.mark.parametrize(
        ("request_", "kind", "says"),
        [
            (Request("/nowhere"), ModelError, "no model /nowhere"),
            (Request("MODEL", factor=2.0), InputError, "outside"),
            (Request("MODEL", folds=(7,)), ModelError, "fold_7"),
            (Request("total", folds=(0,)), InputError, "prescribes its folds"),
            (Request("MODEL", device="toaster"), InputError, "no device toaster"),
            (Request("MODEL", engine="steam"), InputError, "no engine steam"),
            (Request("MODEL", structures=("structure_22",)), InputError, "did you mean structure_2"),
        ],
    )
    def test_are_the_librarys_own(
        self, client: Client, model: str, request_: Request, kind: type[TuckerSegError], says: str
    ) -> None:
        request = replace(request_, model=request_.model.replace("MODEL", model))

        with pytest.raises(kind, match=says) as raised:
            client.segment(scan(), request).wait()

        assert type(raised.value) is kind
        assert "Traceback" not in str(raised.value)

    def test_wrong_channels(self, client: Client, model: str) -> None:
        with pytest.raises(InputError, match="needs 1 input channel"):
            client.segment(scan(channels=2), Request(model)).wait()

    def test_that_nobody_foresaw_are_a_sentence_with_details(self, client: Client) -> None:
        with pytest.raises(WorkerError, match="failed unexpectedly") as raised:
            client.call("ping", nonsense=1).wait()

        assert "Traceback" in raised.value.details
        assert "\n" not in str(raised.value)

    def test_an_unknown_method(self, client: Client) -> None:
        with pytest.raises(InputError, match="no method dance"):
            client.call("dance").wait()

    @pytest.mark.parametrize("error", [InputError("a"), OutputError("b"), Cancelled("c"), WorkerError("d")])
    def test_keep_their_class_and_text(self, error: TuckerSegError) -> None:
        again = protocol.error_of(protocol.error_as_json(error))

        assert type(again) is type(error)
        assert str(again) == str(error)

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        ],
    )
    def test_lack_of_memory_has_its_own(self, error: Exception) -> None:
        assert isinstance(protocol.error_of(protocol.error_as_json(error)), NotEnoughMemory)


class TestGarbage:
    def test_on_the_pipe_is_passed_over(self, client: Client) -> None:
        client.call("ping").wait()
        worker = client._queue.process
        assert worker and worker._process.stdin
        for garbage in (b"\n", b"{\n", b"[1]\n", b"\xff\xfe\x00\n", b'{"id": null}\n', b'{"id": 77}\n', b"{}\n"):
            worker._process.stdin.write(garbage)
        worker._process.stdin.flush()

        assert "torch" in client.call("ping").wait()
        assert client.pid == worker.pid


class TestOtherMethods:
    def test_levels(self, client: Client, model: str) -> None:
        levels = client.call("levels", model=model).wait()["levels"]

        assert [level["factor"] for level in levels] == [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
        assert set(levels[0]) >= {"parameters", "gflops", "parameters_removed", "flops_removed"}

    def test_what_there_is_to_choose_from_can_be_chosen(self, client: Client, model: str) -> None:
        told = client.call("ping").wait()

        assert {"auto", "cpu"} <= set(told["devices"]) and {"auto", "torch"} <= set(told["engines"])
        for engine in told["engines"]:
            finished = client.segment(scan(), Request(model, device="cpu", engine=engine)).wait()
            assert engine in ("auto", finished.engine)

    def test_the_cache(self, client: Client, model: str) -> None:
        client.segment(scan(), Request(model, 0.4, exact_ranks=True)).wait()

        info = client.call("cache_info").wait()
        freed = client.call("cache_clear").wait()["freed"]

        assert info["folder"] == str(Cache().folder)
        assert any(entry["policy"]["factor"] == 0.4 for entry in info["entries"])
        assert freed == info["size"] > 0
        assert client.call("cache_info").wait()["size"] == 0


class TestDying:
    def test_a_killed_worker_is_said_and_the_next_request_starts_another(
        self, own_client: Client, slow_model: str, big: Volume, model: str
    ) -> None:
        job = own_client.segment(big, Request(slow_model))
        waiting = own_client.segment(scan(), Request(model))
        until_it_predicts(job)
        assert own_client.pid
        first = own_client.pid

        os.kill(first, signal.SIGKILL)

        assert until(lambda: job.done, 10)
        with pytest.raises(WorkerError, match="killed"):
            job.result()
        assert not psutil.pid_exists(first)
        assert waiting.wait().label_map.labels.any()
        assert own_client.pid != first

    def test_a_request_to_a_worker_that_has_just_died_is_done_by_another(self, own_client: Client) -> None:
        own_client.call("ping").wait()
        first = own_client.pid
        assert first
        os.kill(first, signal.SIGKILL)

        asked = own_client.call("ping")

        assert "torch" in asked.wait()
        assert own_client.pid != first

    def test_lack_of_memory_is_said_and_survived(self, own_client: Client, slow_model: str, model: str) -> None:
        resource = pytest.importorskip("resource")
        own_client.segment(scan(), Request(model)).wait()
        assert own_client.pid
        limit = psutil.Process(own_client.pid).memory_info().vms + 100_000_000
        resource.prlimit(own_client.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

        with pytest.raises((NotEnoughMemory, WorkerError), match=r"memory|ended"):
            own_client.segment(scan((200, 200, 200)), Request(slow_model)).wait()

        if own_client.pid:
            resource.prlimit(own_client.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        assert own_client.segment(scan(), Request(model)).wait().label_map.labels.any()

    def test_a_worker_that_cannot_start(self, tmp_path: Path) -> None:
        with pytest.raises(WorkerError, match="could not be started"):
            Client(str(tmp_path / "python")).call("ping").wait()

    def test_a_worker_that_ends_at_once(self, tmp_path: Path) -> None:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho 'not for the client'\necho 'no such module' >&2\nexit 3\n")
        broken.chmod(0o755)
        client = Client(str(broken))

        with pytest.raises(WorkerError, match="ended with code 3") as raised:
            client.call("ping").wait()

        assert "no such module" in raised.value.details
        assert "no such module" in client.log_tail()
        assert left_behind() == []

    def test_closing_during_a_run_leaves_no_process(self, own_client: Client, slow_model: str, big: Volume) -> None:
        job = own_client.segment(big, Request(slow_model))
        waiting = own_client.segment(big, Request(slow_model))
        until_it_predicts(job)
        assert own_client.pid
        pid = own_client.pid

        own_client.close()

        assert not psutil.pid_exists(pid)
        assert not own_client.running
        assert left_behind() == []
        for stopped in (job, waiting):
            with pytest.raises(Cancelled):
                stopped.result()
        own_client.close()
        assert "torch" in own_client.call("ping").wait()

    def test_a_client_nobody_holds_ends_its_worker_after_its_last_job(self, cache: Path, model: str) -> None:
        client = Client()
        job = client.segment(scan(), Request(model))
        pid = client.pid
        del client
        gc.collect()

        assert job.wait().label_map.labels.any()
        assert pid
        del job
        gc.collect()
        assert until(lambda: is_gone(pid), 5)


_CLIENT = """
import sys, time
import numpy as np
from TuckerSegLib.worker.client import Client
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume

volume = Volume(np.arange(900_000, dtype=np.int32).reshape(1, 100, 100, 90), Geometry((100, 100, 90), np.eye(4)))
client = Client()
job = client.segment(volume, Request(sys.argv[1]))
waiting = client.segment(volume, Request(sys.argv[1]))
while not job.done and not any(progress.stage == "predict" for progress in job.poll()):
    time.sleep(0.05)
print(client.pid, flush=True)
{then}
"""


class TestTheClientsProcess:
    @pytest.mark.parametrize(
        "ending", [pytest.param("time.sleep(600)", id="killed"), pytest.param("sys.exit()", id="left")]
    )
    def test_the_worker_ends_with_it(self, ending: str, slow_model: str, cache: Path) -> None:
        script = _CLIENT.format(then=ending)
        client = subprocess.Popen(
            [sys.executable, "-c", script, slow_model],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with client:
            assert client.stdout
            pid = int(client.stdout.readline())
            if "sleep" in ending:
                client.kill()
            client.wait(20)

        assert until(lambda: is_gone(pid), 10)

    def test_imports_no_torch(self) -> None:
        heavy = "'torch', 'nnunetv2', 'SimpleITK', 'scipy', 'psutil'"
        script = f"import sys, TuckerSegLib.worker.client; print([m for m in ({heavy}) if m in sys.modules])"
        run = [sys.executable, "-c", script]

        assert subprocess.check_output(run, cwd=ROOT, text=True).strip() == "[]"

    def test_what_libraries_print_in_the_worker_stays_out_of_the_pipe(self) -> None:
        script = textwrap.dedent(
            """
            import os, sys
            from TuckerSegLib.worker.process import own_pipes
            requests, answers = own_pipes()
            print("chatter", flush=True)
            os.system("echo chatter")
            answers.write(b"answer " + requests.readline() + sys.stdin.buffer.read())
            """
        )
        run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, input=b"question\n", capture_output=True)

        assert run.stdout == b"answer question\n"
        assert run.stderr.count(b"chatter") == 2

    def test_finds_the_interpreter_inside_slicer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        beside = tmp_path / "PythonSlicer"
        beside.write_text("")
        beside.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))

        assert process.python_executable() == str(beside)

    def test_gives_the_worker_this_package_and_keeps_the_rest(self) -> None:
        environment = process.environment({"PYTHONPATH": "/other", "LD_LIBRARY_PATH": "/slicer/lib"})

        assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/other"]
        assert environment["LD_LIBRARY_PATH"] == "/slicer/lib"

"""Weights are found where TotalSegmentator keeps them, fetched only when asked for, and appear whole or not at all."""

import http.server
import io
import json
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from support.trained_folders import totalsegmentator_task
from typer.testing import CliRunner

from TuckerSegLib.cli.main import app
from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.errors import Cancelled, InputError, ModelError, NotEnoughMemory, OutputError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.installed import installed
from TuckerSegLib.models.opening import open_model
from TuckerSegLib.models.totalsegmentator import download, weights
from TuckerSegLib.models.totalsegmentator.download import Source, fetch, install
from TuckerSegLib.models.totalsegmentator.tasks import Network, Task, task, task_names
from TuckerSegLib.models.totalsegmentator.weights import check_installed, import_archive, is_installed, weights_folder
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.segmentation import session
from TuckerSegLib.segmentation.prepare import prepare
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.tasks import checks
from TuckerSegLib.segmentation.tasks.checks import modality_warning
from TuckerSegLib.volumes.files import write_segmentation
from TuckerSegLib.volumes.volume import Geometry, LabelMap, Volume
from TuckerSegLib.worker.service import Service

pytestmark = pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::RuntimeWarning")
FASTEST = "total-fastest"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TotalSegmentator's own folder, empty."""
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.setattr(download, "_SECONDS_BETWEEN_ATTEMPTS", 0.0)
    monkeypatch.setattr(download, "_CHUNK", 1000)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with narrow weights of the 6 mm task."""
    folder = tmp_path_factory.mktemp("made")
    totalsegmentator_task(folder, FASTEST, features=(2, 4))
    return folder


@pytest.fixture(scope="module")
def archive(made: Path) -> bytes:
    return zipped(made)


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        for path in sorted(folder.rglob("*")):
            files.write(path, path.relative_to(folder))
    return buffer.getvalue()


def ct(lowest: float = -1000.0) -> Volume:
    voxels = np.random.default_rng(0).uniform(lowest, 300.0, (1, 12, 14, 16)).astype(np.int16)
    return Volume(voxels, Geometry(voxels.shape[1:], np.diag([6.0, 6.0, 6.0, 1.0])))


def only_network(name: str = FASTEST) -> Network:
    (network,) = task(name).networks
    return network


class Server:
    """A server on this computer that may cut its answers short."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.cut_at: list[int] = []
        self.etag = '"one"'
        self.ranges = True
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.asked: list[dict[str, str]] = []
        self.posted: list[dict[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append(dict(request.headers))
        if self.refusal:
            status, body = self.refusal
            self._send(request, status, json.dumps(body).encode(), 0)
            return
        start = 0
        if self.ranges and "Range" in request.headers and request.headers["If-Range"] == self.etag:
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self._send(request, 206 if start else 200, self.content, start)

    def _send(self, request: http.server.BaseHTTPRequestHandler, status: int, body: bytes, start: int) -> None:
        request.send_response(status)
        request.send_header("ETag", self.etag)
        request.send_header("Content-Length", str(len(body) - start))
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.end_headers()
        end = self.cut_at.pop(0) if self.cut_at else len(body)
        request.wfile.write(body[start:end])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(archive: bytes) -> Iterator[Server]:
    server = Server(archive)
    yield server
    server.close()


@pytest.fixture
def served(server: Server, monkeypatch: pytest.MonkeyPatch) -> Task:
    """The 6 mm task, to be fetched from the server on this computer."""
    known = task(FASTEST)
    return replace(known, networks=(replace(known.networks[0], url=server.url),))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("variables", [{}, {"TOTALSEG_HOME_DIR": "/a"}, {"TOTALSEG_WEIGHTS_PATH": "/b"}])
def test_the_folder_is_totalsegmentators(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from totalsegmentator.config import get_weights_dir

    for name in ("TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights_folder() == get_weights_dir()


def segment(
    name: str,
    factor: float = 1.0,
    cache: Cache | None = None,
    progress: Progress | None = None,
    structures: Sequence[str] = (),
) -> Segmentation:
    """A small CT by the task of that name."""
    request = Request(name, factor, "cpu", "torch", structures, exact_ranks=True)
    return Session(cache).segment(ct(), request, progress)


def test_missing_weights_are_one_line_with_the_folder_and_both_ways_out(home: Path) -> None:
    with pytest.raises(ModelError) as raised:
        segment(FASTEST)
    said = str(raised.value)
    assert str(weights_folder()) in said and "\n" not in said
    assert f"models install {FASTEST}" in said and "models import FILE.zip" in said
    assert not home.exists()


def test_what_looks_for_chosen_structures_is_installed_by_its_own_name(home: Path) -> None:
    chosen = task("total").only(["liver"])
    finder, own = chosen.all_networks()
    assert (chosen.installed_with(finder), chosen.installed_with(own)) == ("total-fastest", "total")
    with pytest.raises(ModelError, match="models install total-fastest'"):
        check_installed(chosen)
    cropped = task("lung_vessels")
    assert {cropped.installed_with(network) for network in cropped.all_networks()} == {"lung_vessels"}


def test_weights_that_are_there_are_listed_by_task(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    assert is_installed(task(FASTEST)) and not is_installed(task("total"))
    assert FASTEST in installed() and "total" not in installed()
    assert open_model(FASTEST).labels == task(FASTEST).structures


@pytest.mark.parametrize(("name", "meant"), [("total_fast", "total-fast"), ("sampel", "sample")])
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=f"There is no model {name}: did you mean {meant}"):
        open_model(name)


def test_segmenting_talks_to_nobody_and_writes_nothing(
    made: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    forbid_sockets(monkeypatch)
    before = left_in(made)
    result = segment(FASTEST)
    assert result.label_map.labels.shape == (12, 14, 16)
    assert result.label_map.names == task(FASTEST).structures
    assert left_in(made) == before and not home.exists() and not (tmp_path / "cache").exists()


def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("segmenting talks to nobody")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def test_an_archive_is_imported_once(home: Path, tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "weights.zip").write_bytes(archive)
    name = only_network().dataset
    assert import_archive(tmp_path / "weights.zip") == [name]
    assert import_archive(tmp_path / "weights.zip") == []
    assert left_in(weights_folder()) == [name] and is_installed(task(FASTEST))


def test_an_import_completes_a_folder_that_was_half_there(home: Path, tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "weights.zip").write_bytes(archive)
    import_archive(tmp_path / "weights.zip")
    checkpoint = weights_folder() / only_network().folder / "fold_0" / "checkpoint_final.pth"
    checkpoint.unlink()
    with pytest.raises(ModelError, match="incomplete"):
        segment(FASTEST)
    assert import_archive(tmp_path / "weights.zip") == [only_network().dataset]
    assert checkpoint.is_file()


def _with_member(archive: bytes, name: str, mode: int = 0) -> bytes:
    buffer = io.BytesIO(archive)
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(buffer, "a") as files:
        files.writestr(member, "../../elsewhere")
    return buffer.getvalue()


BAD_ARCHIVES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a path above": (lambda good: _with_member(good, "../above.txt"), "leads out"),
    "an absolute path": (lambda good: _with_member(good, "/tmp/absolute.txt"), "leads out"),
    "a path of Windows": (lambda good: _with_member(good, "..\\above.txt"), "leads out"),
    "a drive of Windows": (lambda good: _with_member(good, "C:\\above.txt"), "leads out"),
    "a link": (lambda good: _with_member(good, "Dataset298_x/link", 0o120777), "leads out"),
    "cut short": (lambda good: good[: len(good) // 2], "damaged"),
    "altered": (lambda good: good[:5000] + bytes(200) + good[5200:], "damaged"),
    "no archive": (lambda _: b"no archive", "damaged"),
    "something else": (lambda _: _with_member(zip_of_nothing(), "readme.txt"), "no weights"),
    "half a model": (lambda _: _with_member(zip_of_nothing(), "Dataset298_x/a__b__c/plans.json"), "no whole"),
}


def zip_of_nothing() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_a_bad_archive_leaves_everything_as_it_was(home: Path, tmp_path: Path, archive: bytes, case: str) -> None:
    make, said = BAD_ARCHIVES[case]
    (tmp_path / "weights.zip").write_bytes(make(archive))
    weights_folder().mkdir(parents=True)
    before = left_in(tmp_path)
    with pytest.raises(ModelError, match=said):
        import_archive(tmp_path / "weights.zip")
    assert left_in(weights_folder()) == [] and left_in(tmp_path) == before


def test_a_full_disk_is_told_before_anything_is_unpacked(
    home: Path, tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.zip").write_bytes(archive)
    monkeypatch.setattr(weights, "_SPARE", 1 << 60)
    with pytest.raises(OutputError, match="free"):
        import_archive(tmp_path / "weights.zip")
    assert left_in(tmp_path) == ["weights.zip"]


def test_weights_are_installed_with_progress(home: Path, server: Server, served: Task) -> None:
    told: list[Event] = []
    new = install(served, progress=Progress(told.append))
    assert new == [only_network().dataset] and is_installed(task(FASTEST))
    assert (told[0], told[-1]) == (Event("download", 0.0, None), Event("download", 1.0, 0.0))
    assert left_in(weights_folder()) == new
    assert install(served) == [] and len(server.asked) == 1


def test_a_download_that_breaks_off_goes_on_where_it_was(home: Path, server: Server, served: Task) -> None:
    server.cut_at = [3000, 7000]
    assert install(served) == [only_network().dataset]
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=3000-", "bytes=7000-"]


def test_a_download_goes_on_in_another_run(home: Path, server: Server, served: Task) -> None:
    server.cut_at = [1000, 2000, 3000, 4000, 5000]
    with pytest.raises(ModelError, match="again to go on"):
        install(served)
    assert not is_installed(task(FASTEST))
    assert install(served) == [only_network().dataset]
    assert server.asked[-1]["Range"] == "bytes=5000-"
    assert left_in(weights_folder()) == [only_network().dataset]


def test_a_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file.part").write_bytes(b"older")
    (tmp_path / "file.mark").write_text('"older"')
    fetch(Source(server.url), tmp_path / "file.part", Progress())
    assert (tmp_path / "file.part").read_bytes() == server.content


def test_what_a_server_sends_damaged_is_not_kept(home: Path, server: Server, served: Task) -> None:
    server.content = server.content[:-500]
    with pytest.raises(ModelError, match="damaged"):
        install(served)
    assert left_in(weights_folder()) == [] or not is_installed(task(FASTEST))
    assert not list(weights_folder().glob(".*"))


def test_no_network_is_one_line(home: Path, served: Task, server: Server) -> None:
    server.close()
    with pytest.raises(ModelError, match="check the network"):
        install(served)


@pytest.fixture
def licensed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(download, "LICENCE_SERVER", server.url)
    known = task(FASTEST)
    return replace(known, licensed=True, networks=(replace(known.networks[0], url=None, licence_name="a_task"),))


def test_a_licence_number_is_passed_on_and_kept_for_totalsegmentator(
    home: Path, server: Server, licensed: Task
) -> None:
    from totalsegmentator.config import get_config, get_license_number, has_valid_license_offline

    install(licensed, "aca_12345678901234")
    assert [(p["license_number"], p["task"]) for p in server.posted] == [("aca_12345678901234", "a_task")]
    assert get_license_number() == "aca_12345678901234" and has_valid_license_offline()[0] == "yes"
    assert get_config()["send_usage_stats"] is False


def test_a_refused_licence_number_leaves_nothing(home: Path, server: Server, licensed: Task) -> None:
    server.refusal = (400, {"status": "invalid_license"})
    with pytest.raises(ModelError, match="refused the licence number"):
        install(licensed, "wrong")
    assert not (home / "config.json").exists() and not list(weights_folder().iterdir())


def test_a_licensed_task_without_a_number_does_not_run(home: Path) -> None:
    with pytest.raises(ModelError, match="licence number"):
        segment("heartchambers_highres")
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"license_number": "short"}))
    with pytest.raises(ModelError, match="was refused"):
        segment("heartchambers_highres")


def test_weights_of_another_version_are_named(home: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (weights_folder() / "Dataset298_TotalSegmentator_total_6mm_1559subj_v204").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"another version.*_v204"):
        segment(FASTEST)


def test_a_network_with_too_few_structures_is_of_another_version(home: Path) -> None:
    (network,) = task("body-fast").networks
    totalsegmentator_task(weights_folder(), "body-fast", features=(2, 4))
    dataset = weights_folder() / network.dataset
    dataset.rename(weights_folder() / only_network().dataset)
    trained = weights_folder() / only_network().dataset / Path(network.folder).name
    trained.rename(weights_folder() / only_network().folder)
    with pytest.raises(ModelError, match="another version"):
        segment(FASTEST)


def test_too_little_memory_is_told_before_the_network_runs(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    little = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    with pytest.raises(NotEnoughMemory, match="GB of memory"):
        segment(FASTEST)


@pytest.mark.parametrize(("lowest", "name", "looks_like"), [(-1000, "total_mr", "CT"), (0, "total", "MR")])
def test_an_image_of_the_wrong_kind_is_warned_of(lowest: float, name: str, looks_like: str) -> None:
    warning = modality_warning(ct(lowest), task(name))
    assert warning is not None and f"looks like {looks_like}" in warning
    assert modality_warning(ct(-1000), task("total")) is None


def test_totalsegmentators_classifier_decides_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = SimpleNamespace(get_modality=lambda image: {"modality": "mr", "probability": 1.0})
    monkeypatch.setattr(checks, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "totalsegmentator.bin.totalseg_get_modality", classifier)
    assert modality_warning(ct(-1000), task("total_mr")) is None
    assert modality_warning(ct(-1000), task("total")) is not None


def test_a_structure_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="did you mean liver"):
        segment(FASTEST, structures=("livver",))


def test_the_shell_imports_lists_and_uses_a_task(
    home: Path, tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.zip").write_bytes(archive)
    write_segmentation(LabelMap(np.zeros((12, 14, 16), np.uint8), ct().geometry), tmp_path / "ct.nii.gz")
    imported = json.loads(shell("models", "import", str(tmp_path / "weights.zip"), "--json"))
    assert imported == {"folder": str(weights_folder()), "installed": [only_network().dataset]}
    listed = {entry["name"]: entry for entry in json.loads(shell("models", "--json"))["tasks"]}
    assert set(listed) == set(task_names())
    assert [name for name, entry in listed.items() if entry["installed"]] == [FASTEST]
    assert "total-fastest" in shell("models")
    paths = str(tmp_path / "ct.nii.gz"), str(tmp_path / "out.seg.nrrd")
    said = json.loads(shell("segment", *paths, "--model", FASTEST, "--device", "cpu", "--json"))
    assert said["model"] == FASTEST and (tmp_path / "out.seg.nrrd").is_file()


def shell(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_worker_runs_a_task_and_knows_what_its_levels_cost(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    arguments = {"model": FASTEST, "device": "cpu", "engine": "torch"}
    answer = Service().answer("segment", arguments, ct(), Progress())
    assert answer.label_map is not None and answer.label_map.names == task(FASTEST).structures
    assert np.array_equal(answer.label_map.labels, segment(FASTEST).label_map.labels)
    levels = Service().answer("levels", {"model": FASTEST}, None, Progress()).result["levels"]
    assert [level["factor"] for level in levels] == list(LEVELS) and levels[0]["parameters_removed"] == 0


def test_the_worker_keeps_a_tasks_networks_ready(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    prepared: list[str] = []

    def counted(*given: Any, **options: Any) -> Any:
        prepared.append(given[0].name)
        return prepare(*given, **options)

    monkeypatch.setattr(session, "prepare", counted)
    service, labels = Service(), []
    for factor in (0.5, 0.5, 1.0):
        arguments = {"model": FASTEST, "device": "cpu", "engine": "torch", "factor": factor}
        answer = service.answer("segment", arguments, ct(), Progress())
        assert answer.label_map is not None
        labels.append(answer.label_map.labels)
    assert len(prepared) == 2
    assert np.array_equal(labels[0], labels[1])


def test_a_task_at_a_level_is_stopped_and_tells_how_far_it_is(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(made))
    told: list[Event] = []
    cache = Cache(tmp_path / "cache")
    first = segment(FASTEST, 0.5, cache, Progress(told.append))
    again = segment(FASTEST, 0.5, cache)
    assert (first.cache_hit, again.cache_hit) == (False, True)
    assert np.array_equal(first.label_map.labels, again.label_map.labels)
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0

    def stop(event: Event) -> None:
        if event.stage == "predict":
            stopped.cancel()

    stopped = Progress(stop)
    with pytest.raises(Cancelled):
        segment(FASTEST, 0.5, cache, stopped)

"""Servers and archives from strangers: nothing endless is kept, and a licence number goes to one server alone."""

import http.server
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models.totalsegmentator import download, weights
from TuckerSegLib.models.totalsegmentator.download import Source, fetch
from TuckerSegLib.models.totalsegmentator.weights import import_archive, weights_folder
from TuckerSegLib.progress import Progress

Handler = http.server.BaseHTTPRequestHandler

NUMBER = "aca_12345678901234"


class Server:
    """A server on this computer that answers as it is told to, and remembers what it was sent."""

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        self.sent: list[tuple[str, bytes]] = []
        outer = self

        class Answering(Handler):
            def do_GET(self) -> None:  # noqa: N802  the name that the library looks for
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.sent.append((self.command, body))
                answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Serve = Callable[[Callable[[Handler], None]], Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr(download, "_SECONDS_BETWEEN_ATTEMPTS", 0.0)
    running: list[Server] = []

    def start(answer: Callable[[Handler], None]) -> Server:
        running.append(Server(answer))
        return running[-1]

    yield start
    for server in running:
        server.close()


def answering(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler], None]:
    def answer(request: Handler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def with_number(server: Server) -> Source:
    return Source(server.url, "POST", {"license_number": NUMBER})


def test_an_endless_body_is_given_up_and_not_kept(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_LARGEST", 3_000_000)

    def endless(request: Handler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    with pytest.raises(ModelError, match="more than weights can be"):
        fetch(Source(serve(endless).url), tmp_path / "a.part", Progress())
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_is_promised_to_be_huge_is_not_begun(tmp_path: Path, serve: Serve) -> None:
    promising = answering(200, b"PK", Content_Length=str(10**15))
    with pytest.raises(ModelError, match="more than weights can be"):
        fetch(Source(serve(promising).url), tmp_path / "a.part", Progress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [307, 308])
def test_a_licence_number_is_sent_to_no_other_server(tmp_path: Path, serve: Serve, status: int) -> None:
    other = serve(answering(200, b"thanks"))
    server = serve(answering(status, Location=other.url))
    with pytest.raises(ModelError, match="which was not done"):
        fetch(with_number(server), tmp_path / "a.part", Progress())
    assert other.sent == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_where_a_server_only_tells_the_place_the_number_stays_at_home(
    tmp_path: Path, serve: Serve, status: int
) -> None:
    other = serve(answering(200, b"weights"))
    server = serve(answering(status, Location=other.url))
    fetch(with_number(server), tmp_path / "a.part", Progress())
    assert (tmp_path / "a.part").read_bytes() == b"weights"
    assert other.sent == [("GET", b"")]


def test_within_one_server_the_number_goes_along(tmp_path: Path, serve: Serve) -> None:
    def twice(request: Handler) -> None:
        moved = answering(308, Location="/weights")
        (answering(200, b"weights") if request.path == "/weights" else moved)(request)

    server = serve(twice)
    fetch(with_number(server), tmp_path / "a.part", Progress())
    assert [method for method, _ in server.sent] == ["POST", "POST"]
    assert all(NUMBER.encode() in body for _, body in server.sent)


@pytest.mark.parametrize("url", ["http://elsewhere.org/weights.zip", "ftp://elsewhere.org/weights.zip", "file:///a"])
def test_what_began_encrypted_goes_on_encrypted(url: str) -> None:
    with pytest.raises(ModelError, match="without encryption"):
        download._check_redirect(Source("https://server.org/"), "https://server.org/", url, False)
    download._check_redirect(Source("https://server.org/"), "https://server.org/", "https://elsewhere.org/a", False)


def test_a_circle_of_redirections_ends(tmp_path: Path, serve: Serve) -> None:
    with pytest.raises(ModelError, match="from place to place"):
        fetch(Source(serve(answering(302, Location="/")).url), tmp_path / "a.part", Progress())


def test_a_part_that_nobody_asked_for_is_not_taken(tmp_path: Path, serve: Serve) -> None:
    part = answering(206, b"end", Content_Range="bytes 100-102/103")
    with pytest.raises(ModelError, match="a part that nobody asked for"):
        fetch(Source(serve(part).url), tmp_path / "a.part", Progress())
    assert list(tmp_path.iterdir()) == []


def test_another_part_than_the_one_that_was_asked_for_is_not_taken(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "a.part").write_bytes(b"begin")
    (tmp_path / "a.mark").write_text('"one"')
    part = answering(206, b"end", Content_Range="bytes 100-102/103")
    with pytest.raises(ModelError, match="a part that nobody asked for"):
        fetch(Source(serve(part).url), tmp_path / "a.part", Progress())
    assert (tmp_path / "a.part").read_bytes() == b"begin"


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "at another place by now"), (410, "at another place by now"), (429, "try again later"), (503, "try again")],
)
def test_what_a_server_refuses_has_its_own_words(tmp_path: Path, serve: Serve, status: int, said: str) -> None:
    with pytest.raises(ModelError, match=f"answered {status}.*{said}"):
        fetch(Source(serve(answering(status)).url), tmp_path / "a.part", Progress())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.exceptions.SSLError, "certificate was refused"),
        (requests.exceptions.ProxyError, "proxy refused"),
        (requests.exceptions.InvalidURL, "InvalidURL"),
        (requests.exceptions.ContentDecodingError, "ContentDecodingError"),
        (requests.ConnectionError, "check the network"),
    ],
)
def test_what_goes_wrong_on_the_way_has_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], said: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error("of the library")

    monkeypatch.setattr(download, "_SECONDS_BETWEEN_ATTEMPTS", 0.0)
    monkeypatch.setattr(requests, "request", fail)
    with pytest.raises(ModelError, match=said):
        fetch(Source("https://server.org/"), tmp_path / "a.part", Progress())


# Archives


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, empty."""
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    weights_folder().mkdir()
    return weights_folder()


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as files:
        for name, content in members.items():
            files.writestr(name, content)
    return path


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(home: Path, tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {"Dataset298_x/a__b__c/plans.json": bytes(50_000_000)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ModelError, match="far more than weights are"):
        import_archive(bomb)
    assert list(home.iterdir()) == []


def test_an_archive_of_countless_files_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="far more than weights are"):
        import_archive(zipped(tmp_path / "a.zip", {f"Dataset298_x/{number}": b"" for number in range(10_001)}))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_an_archive_damaged_within_its_members(home: Path, tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "a.zip", {"Dataset298_x/a__b__c/plans.json": os.urandom(5000)}, method)
    content = bytearray(path.read_bytes())
    content[100:4000] = os.urandom(3900)
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        import_archive(path)
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="makes a named pipe")
def test_what_is_no_file_is_no_archive(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    for path, said in ((tmp_path / "pipe.zip", "pipe"), (tmp_path, "folder"), (tmp_path / "none.zip", "no such file")):
        with pytest.raises(ModelError, match=said):
            import_archive(path)


def test_what_a_killed_import_left_goes_with_the_next_one(home: Path, tmp_path: Path) -> None:
    left, other = home / ".seg-0a1b2c", home / ".seg-mine"
    for folder in (left, other):
        (folder / "Dataset298_x").mkdir(parents=True)
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(ModelError):
        import_archive(tmp_path / "a.zip")
    assert list(home.iterdir()) == [other]


def test_it_is_said_what_is_wrong_with_an_archive_that_cannot_be_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    path = zipped(tmp_path / "a.zip", {"a": b"b"})
    monkeypatch.setattr(weights, "check_ordinary", refuse)
    with pytest.raises(ModelError, match="Permission denied"):
        import_archive(path)

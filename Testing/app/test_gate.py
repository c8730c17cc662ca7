"""Users are apart: each browser has a viewer, a folder and a cookie of its own, and what is theirs goes with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the application's packages are not installed: pip install 'tuckerseg[app]'")

from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestServer

from TuckerSegLib.app.serving import gate as serving
from TuckerSegLib.app.serving.access import Access
from TuckerSegLib.app.serving.forwarding import SECRET
from TuckerSegLib.app.serving.gate import Gate, Limits
from TuckerSegLib.app.serving.process import Settings


class Viewer:
    """A viewer without a scene: it says its number, and repeats what it is told."""

    made: list["Viewer"] = []  # noqa: RUF012

    def __init__(self, image: Path | None, most_bytes: int) -> None:
        self.folder = Path(mkdtemp(prefix="viewer-"))
        self.settings = Settings(str(self.folder), f"secret {len(self.made)}", None, most_bytes)
        self.number, self.alive = len(self.made), True
        self.port: int | None = None
        self.made.append(self)
        self._server: TestServer | None = None

    async def ready(self) -> int:
        if self._server is None:
            app = web.Application(client_max_size=0)
            app.router.add_get("/ws", self._repeat)
            app.router.add_route("*", "/{path:.*}", self._answer)
            self._server = TestServer(app, host="127.0.0.1")
            await self._server.start_server()
            self.port = self._server.port
        assert self.port
        return self.port

    async def end(self) -> None:
        self.alive = False
        self.folder.rmdir()
        if self._server:
            await self._server.close()

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.headers[SECRET] == self.settings.secret
        assert "Cookie" not in request.headers
        body = await request.read()
        return web.Response(text=f"<head></head>viewer {self.number} {request.path_qs} {len(body)}")

    async def _repeat(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{self.number}: {message.data}")
        return socket


@asynccontextmanager
async def running(access: Access, limits: Limits) -> AsyncIterator[str]:
    server = TestServer(Gate(access, limits).app, host="127.0.0.1")
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


def browser() -> ClientSession:
    return ClientSession(cookie_jar=CookieJar(unsafe=True))


def played(
    monkeypatch: pytest.MonkeyPatch,
    play: Callable[[str], Awaitable[None]],
    access: Access = Access("127.0.0.1"),  # noqa: B008
    limits: Limits = Limits(),  # noqa: B008
) -> None:
    monkeypatch.setattr(serving, "ViewerProcess", Viewer)
    Viewer.made.clear()

    async def run() -> None:
        async with running(access, limits) as address:
            await play(address)

    asyncio.run(run())
    assert not [viewer.folder for viewer in Viewer.made if viewer.folder.exists()]


async def text(session: ClientSession, address: str, **more: Any) -> tuple[int, str]:
    async with session.get(address, **more) as answer:
        return answer.status, await answer.text()


def test_each_browser_has_a_viewer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one, browser() as other:
            assert "viewer 0" in (await text(one, address))[1]
            assert "viewer 1" in (await text(other, address))[1]
            assert "viewer 0 /some/file?a=1" in (await text(one, f"{address}/some/file?a=1"))[1]
            assert "viewer 0" in (await text(one, address))[1], "a second window of the same browser"

    played(monkeypatch, play)


def test_who_has_no_cookie_reaches_no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one, browser() as stranger:
            await text(one, address)
            assert (await text(stranger, f"{address}/download/nii.gz"))[0] == 403
            guessed = {"Cookie": "tuckerseg=guessed"}
            assert (await text(stranger, f"{address}/download/nii.gz", headers=guessed))[0] == 403

    played(monkeypatch, play)


def test_a_token_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one, browser() as stranger:
            assert (await text(stranger, address))[0] == 403
            assert (await text(stranger, f"{address}/?token=wrong"))[0] == 403
            assert (await text(one, f"{address}/?token=right"))[0] == 200
            assert (await text(one, address))[0] == 200
            assert len(Viewer.made) == 1

    played(monkeypatch, play, Access("0.0.0.0", "right"))


def test_the_page_may_load_nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one, one.get(address) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            assert "/gate/page.js" in await answer.text()

    played(monkeypatch, play)


def test_whoever_asks_for_an_icon_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers ask where a page names none, and put it among the page's errors where there is none."""

    async def play(address: str) -> None:
        async with browser() as one, one.get(f"{address}/favicon.ico") as answer:
            assert answer.status == 200 and answer.content_type == "image/png"
        assert 'href="/gate/icon.png"' in (serving.PAGE / "waiting.html").read_text(encoding="utf-8")

    played(monkeypatch, play)


def test_sockets_and_files_reach_the_own_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one:
            await text(one, address)
            async with one.ws_connect(f"{address}/ws", headers={"Origin": address}) as socket:
                await socket.send_str("hello")
                assert await socket.receive_str() == "0: hello"
            async with one.post(f"{address}/upload", data=b"x" * 3_000_000, headers={"Origin": address}) as answer:
                assert (await answer.text()).endswith("3000000")
            async with one.post(f"{address}/upload", headers={"Origin": "http://evil.example"}) as answer:
                assert answer.status == 403

    played(monkeypatch, play)


def test_no_more_come_in_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one, browser() as other:
            assert (await text(one, address))[0] == 200
            status, said = await text(other, address)
            assert status == 503
            assert "All places are taken" in said

    played(monkeypatch, play, limits=Limits(users=1))


def test_who_left_is_forgotten_with_all_that_was_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one:
            await text(one, address)
            for _ in range(50):
                await asyncio.sleep(0.1)
                if not Viewer.made[0].alive:
                    break
            assert not Viewer.made[0].folder.exists()
            assert "viewer 1" in (await text(one, address))[1]

    played(monkeypatch, play, limits=Limits(patience=0.3))


def test_a_viewer_that_died_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(address: str) -> None:
        async with browser() as one:
            await text(one, address)
            Viewer.made[0].alive = False
            assert "viewer 1" in (await text(one, address))[1]

    played(monkeypatch, play)

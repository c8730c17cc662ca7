"""The server that browsers talk to: it lets them in, gives each a viewer, and passes on what both say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientConnectionError, ClientError, ClientSession, ClientTimeout, web

from ...errors import WorkerError
from .access import HEADERS, Access
from .forwarding import SECRET, forward, forward_socket
from .process import ViewerProcess
from .users import User, Users

COOKIE = "tuckerseg"

PAGE = Path(__file__).with_name("page")

_SECONDS_BETWEEN_ROUNDS = 10.0

_HEAD = '<link rel="stylesheet" href="/gate/page.css"><script src="/gate/page.js"></script>'

_ICON = "/gate/icon.png"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Limits:
    """What the users of one server may take together: users at a time, seconds without a window, bytes sent at once."""

    users: int = 4
    patience: float = 1800.0
    most_bytes: int = 8 << 30


class Gate:
    """An application of aiohttp's; `image` is what each viewer shows first."""

    def __init__(self, access: Access, limits: Limits, image: Path | None = None) -> None:
        self._access, self._limits = access, limits
        self._users = Users(lambda: ViewerProcess(image, limits.most_bytes), limits.users, limits.patience)
        self._client: ClientSession | None = None
        # The viewer bounds what is sent, which this server never holds.
        self.app = web.Application(middlewares=[self._guard], client_max_size=0)
        self.app.cleanup_ctx.append(self._life)
        self.app.router.add_get("/", self._enter)
        self.app.router.add_get("/alive", self._alive)
        self.app.router.add_static("/gate/", PAGE)
        self.app.router.add_get("/favicon.ico", self._icon)
        self.app.router.add_get("/ws", self._socket)
        self.app.router.add_post("/paraview/", self._tell_socket)
        self.app.router.add_route("*", "/{path:.*}", self._pass_on)

    @property
    def first(self) -> ViewerProcess:
        """The viewer that the first user will have; it starts now if it has not yet."""
        return self._users.warm_up()

    async def _life(self, _app: web.Application) -> AsyncIterator[None]:
        self._client = ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None))
        rounds = asyncio.ensure_future(self._make_rounds())
        yield
        rounds.cancel()
        await self._users.forget_all()
        await self._client.close()

    async def _make_rounds(self) -> None:
        while True:
            await asyncio.sleep(min(_SECONDS_BETWEEN_ROUNDS, self._limits.patience))
            await self._users.forget_idle()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._access.check(request)
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(HEADERS)
            raise
        except (ClientConnectionError, WorkerError) as error:
            response = web.Response(status=502, text=f"The viewer does not answer ({error}): load the page again.")
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """The page; a new browser is given a viewer, whose start it waits for."""
        if self._user(request) is None or "token" in request.query:
            return self._admit(request)
        user = self._user(request)
        assert user is not None
        if user.viewer.port is None:
            return await self._waiting(user)
        return await self._page(user)

    def _admit(self, request: web.Request) -> web.StreamResponse:
        if not self._access.admits(request.query.get("token", "")):
            raise web.HTTPForbidden(text="A token is needed: open the whole address that TuckerSeg printed.")
        cookie = request.cookies.get(COOKIE, "") if self._user(request) else self._users.admit()
        if cookie is None:
            raise web.HTTPServiceUnavailable(text="All places are taken: wait until somebody has left, then try again.")
        response = web.HTTPFound("/")
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="Strict", path="/")
        raise response

    async def _waiting(self, user: User) -> web.StreamResponse:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(user.viewer.ready(), 0.5)
            return await self._page(user)
        return web.Response(text=(PAGE / "waiting.html").read_text(encoding="utf-8"), content_type="text/html")

    async def _page(self, user: User) -> web.StreamResponse:
        """The viewer's page with what is the same for all: the script that notices a lost connection and takes files.

        Its limit on zooming goes, which those who see little need.
        """
        assert self._client is not None
        url = f"http://127.0.0.1:{user.viewer.port}/index.html"
        async with self._client.get(url, headers={SECRET: user.viewer.settings.secret}) as answer:
            text = (await answer.read()).decode()
        text = text.replace(",maximum-scale=1,minimum-scale=1", "").replace("</head>", f"{_HEAD}</head>", 1)
        text = text.replace("trame is built by Kitware", "TuckerSeg").replace('href="logo.png"', f'href="{_ICON}"')
        return web.Response(text=text, content_type="text/html")

    async def _icon(self, _request: web.Request) -> web.StreamResponse:
        """Browsers ask for it where a page names none."""
        raise web.HTTPFound(_ICON)

    async def _alive(self, request: web.Request) -> web.StreamResponse:
        user = self._user(request)
        ready = user is not None and user.viewer.port is not None
        return web.Response(status=200 if ready else 503, text="alive" if ready else "starting")

    async def _tell_socket(self, request: web.Request) -> web.StreamResponse:
        """Where the page finds its socket, which trame's client asks for first."""
        scheme = "wss" if request.secure else "ws"
        return web.json_response(
            {"sessionURL": f"{scheme}://{request.host}/ws", "secret": "wslink-secret", "id": "own"}  # nosec B105
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        user, client = self._known(request), self._client
        assert client is not None
        user.windows += 1
        try:
            return await forward_socket(request, client, await user.viewer.ready(), user.viewer.settings.secret)
        finally:
            user.windows -= 1
            self._user(request)  # it was heard of until now

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        user, client = self._known(request), self._client
        assert client is not None
        try:
            return await forward(request, client, await user.viewer.ready(), user.viewer.settings.secret)
        except ClientError as error:
            raise ClientConnectionError(str(error)) from error

    def _user(self, request: web.Request) -> User | None:
        return self._users.find(request.cookies.get(COOKIE, ""))

    def _known(self, request: web.Request) -> User:
        user = self._user(request)
        if user is None:
            raise web.HTTPForbidden(text="This session has ended: load the page again.")
        return user

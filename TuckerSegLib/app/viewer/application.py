"""One user's application: the scene, the features and the page, served on a port of this computer alone."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from trame.app import get_server
from trame_slicer import module as slicer_module

from ...worker.client import Client
from ..features.comparing.logic import ComparingLogic
from ..features.desk import Desk, shared_measurements
from ..features.display.logic import LAYOUTS, DisplayLogic
from ..features.downloads.logic import DownloadLogic
from ..features.downloads.routes import Routes
from ..features.feature import later
from ..features.image.logic import ImageLogic
from ..features.image.sample import Sample
from ..features.image.uploads import Uploads
from ..features.levels.logic import LevelLogic
from ..features.runs.logic import RunLogic
from ..features.runs.segmenting import Segmenting
from ..features.structures.logic import StructureLogic
from ..serving.forwarding import SECRET
from ..serving.process import Settings
from .left import expect_windows_to_be_closed
from .page import build_page
from .scene import Scene

_NO_IMAGE = "Open an image first."


@dataclass(frozen=True)
class Features:
    """All that the page can do."""

    image: ImageLogic
    levels: LevelLogic
    runs: RunLogic
    structures: StructureLogic
    display: DisplayLogic
    comparing: ComparingLogic
    downloads: DownloadLogic


class Application:
    """Made once in its process."""

    def __init__(self, settings: Settings, sample: Sample) -> None:
        self._settings, self._sample = settings, sample
        self._server = get_server(client_type="vue3")
        self._server.enable_module(slicer_module)
        self._server.state.trame__title = "TuckerSeg"
        folder = Path(settings.folder)
        scene = Scene(self._server)
        self._desk = Desk(scene, Client(), shared_measurements())
        self._uploads = Uploads(folder, settings.most_bytes)
        self._features = self._make_features(folder)
        self._desk.on_change(self._refresh_obstacle)
        self._refresh_obstacle()
        self._server.trigger("key")(later(self._server, self._on_key))
        build_page(self._server, self._features, scene.layouts)

    def serve(self, started: Callable[[int], Any]) -> None:
        """Until the process ends; `started` is told the port."""
        self._server.controller.on_server_bind.add(self._add_routes)
        self._server.controller.on_server_ready.add(lambda **_: self._on_ready(started))
        logging.getLogger("wslink").setLevel(logging.WARNING)
        self._server.start(
            port=0, host="127.0.0.1", open_browser=False, show_connection_info=False, timeout=0, exec_mode="main"
        )

    def close(self) -> None:
        """End the worker and whatever it is doing."""
        self._desk.client.close()

    def _make_features(self, folder: Path) -> Features:
        server, desk = self._server, self._desk
        runs = RunLogic(server, desk)
        segmenting = Segmenting(desk, runs)
        image = ImageLogic(server, desk, self._uploads, self._sample)
        image.allowed = lambda: not runs.busy
        levels = LevelLogic(server, desk, runs, segmenting)
        image.opened = levels.ask
        display = DisplayLogic(server, desk)
        comparing = ComparingLogic(server, desk, runs, segmenting, levels, display)
        structures, downloads = StructureLogic(server, desk), DownloadLogic(server, desk, folder)
        return Features(image, levels, runs, structures, display, comparing, downloads)

    def _add_routes(self, wslink_server: Any) -> None:
        wslink_server.app.middlewares.append(self._guard)
        Routes(self._uploads, self._features.downloads).add_to(wslink_server.app)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Only the server that started this process knows the secret."""
        if not hmac.compare_digest(request.headers.get(SECRET, ""), self._settings.secret):
            raise web.HTTPForbidden(text="This is not TuckerSeg's address: use the one that it printed.")
        return await handler(request)

    def _on_ready(self, started: Callable[[int], Any]) -> None:
        expect_windows_to_be_closed(asyncio.get_running_loop())
        started(self._server.port)
        image = self._features.image
        first = image.show_file(Path(self._settings.image)) if self._settings.image else image.show_phantom()
        self._first = asyncio.ensure_future(first)

    def _refresh_obstacle(self) -> None:
        self._features.runs.data.obstacle = "" if self._desk.image else _NO_IMAGE

    async def _on_key(self, key: str) -> None:
        features = self._features
        if key == "Escape":
            features.runs.cancel()
        elif key in "sS":
            await features.levels.segment()
        elif key in "vV":
            features.structures.toggle_all()
        elif key in "1234":
            features.display.set_layout(list(LAYOUTS)[int(key) - 1])

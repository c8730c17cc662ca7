"""The addresses that files are sent to and fetched from; the server before this one has seen who asks."""

import contextlib
from pathlib import Path

from aiohttp import web

from ....errors import InputError, OutputError, TuckerSegError
from ..image.uploads import Uploads
from .logic import DownloadLogic

_PIECE = 1 << 18


class Routes:
    """Uploads and downloads of one user."""

    def __init__(self, uploads: Uploads, downloads: DownloadLogic) -> None:
        self._uploads, self._downloads = uploads, downloads

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/upload", self._upload)
        app.router.add_get("/download/{kind}", self._download)

    async def _upload(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            total = int(query.get("total", "0"))
            self._uploads.check_size(total)
            await self._uploads.take(
                query.get("batch", ""), query.get("path", ""), request.content.iter_chunked(_PIECE)
            )
        except ValueError:
            return web.Response(status=400, text="The size of what is sent is no number.")
        except InputError as error:
            return web.Response(status=413, text=str(error))
        except OutputError as error:
            return web.Response(status=507, text=str(error))
        return web.Response(text="here")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        kind = "." + request.match_info["kind"]
        try:
            path = await self._downloads.make(kind)
        except TuckerSegError as error:
            return web.Response(status=409, text=str(error))
        try:
            return await _send(request, path, self._downloads.file_name(kind))
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


async def _send(request: web.Request, path: Path, name: str) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Type": "application/octet-stream",
            "Content-Length": str(path.stat().st_size),
        }
    )
    await response.prepare(request)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            await response.write(piece)
    await response.write_eof()
    return response

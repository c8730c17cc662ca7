"""Requests and sockets on their way between a browser and its viewer."""

import asyncio
import contextlib

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

SECRET = "X-TuckerSeg-Secret"  # nosec B105
"""The header in which the viewer's secret travels; browsers never see it."""

_OF_ONE_CONNECTION = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    *("upgrade", "host", "cookie", "content-security-policy"),
}
"""Headers that are between two neighbours, or the server's own business."""

_PIECE = 1 << 18

_LONGEST_MESSAGE = 16 << 20

_SECONDS_BETWEEN_BEATS = 20.0


async def forward(request: web.Request, client: ClientSession, port: int, secret: str) -> web.StreamResponse:
    """The viewer's answer to the request, passed on as it comes."""
    body = request.content if request.can_read_body else None
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
    url = f"http://127.0.0.1:{port}{request.path_qs}"
    async with client.request(
        request.method, url, headers={**headers, SECRET: secret}, data=body, allow_redirects=False
    ) as answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        async for piece in answer.content.iter_chunked(_PIECE):
            await response.write(piece)
        await response.write_eof()
        return response


async def forward_socket(request: web.Request, client: ClientSession, port: int, secret: str) -> web.WebSocketResponse:
    """Passes messages both ways until one side goes."""
    browser = web.WebSocketResponse(max_msg_size=_LONGEST_MESSAGE, heartbeat=_SECONDS_BETWEEN_BEATS, compress=False)
    url = f"ws://127.0.0.1:{port}{request.path_qs}"
    async with client.ws_connect(url, headers={SECRET: secret}, max_msg_size=0) as viewer:
        await browser.prepare(request)
        both = [asyncio.ensure_future(_pass_on(browser, viewer)), asyncio.ensure_future(_pass_on(viewer, browser))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await one
    await browser.close()
    return browser


async def _pass_on(
    source: web.WebSocketResponse | ClientWebSocketResponse, target: web.WebSocketResponse | ClientWebSocketResponse
) -> None:
    async for message in source:
        if message.type == WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type == WSMsgType.TEXT:
            await target.send_str(message.data)

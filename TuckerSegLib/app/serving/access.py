"""Who may come in: this computer's own browser, or whoever has the token; and what a page may load."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from ...errors import InputError

_OWN_NAMES = ("localhost", "127.0.0.1", "::1")

_SAFE_METHODS = ("GET", "HEAD")

HEADERS = {
    # Vue compiles the page's templates in the browser, hence 'unsafe-eval'; nothing comes from another place.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer."""


def is_own(host: str) -> bool:
    """Whether only this computer reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """The rules of one server: `token` is what a browser's first request must bring, None where none is needed.

    Raises:
        InputError: other computers reach `host`, and there is no token.
    """

    host: str
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is None and not is_own(self.host):
            raise InputError(f"Other computers reach {self.host}: give a token, such as --token {secrets.token_hex(8)}")

    def check(self, request: web.Request) -> None:
        """Whether the request comes from a page of this server's own, by a name that is its own.

        A page of a stranger's could otherwise have the user's browser ask in its place.

        Raises:
            web.HTTPForbidden: it does not.
        """
        name = urlsplit(f"//{request.host}").hostname or ""
        if is_own(self.host) and name not in _OWN_NAMES:
            raise web.HTTPForbidden(text="This address is not TuckerSeg's own: use the one that it printed.")
        origin = request.headers.get("Origin")
        is_change = request.method not in _SAFE_METHODS or "Upgrade" in request.headers
        if (origin is not None or is_change) and urlsplit(origin or "").netloc != request.host:
            raise web.HTTPForbidden(text="The request comes from another site's page: open TuckerSeg itself.")

    def admits(self, token: str) -> bool:
        """Whether a browser that brings `token` may come in."""
        return self.token is None or hmac.compare_digest(token.encode(), self.token.encode())

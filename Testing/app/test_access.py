"""Nobody comes in who should not: hosts, tokens, and other sites' pages."""

import pytest

pytest.importorskip("aiohttp", reason="the application's packages are not installed: pip install 'tuckerseg[app]'")

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from TuckerSegLib.app.serving.access import Access, is_own
from TuckerSegLib.errors import InputError


def request(method: str = "GET", **headers: str) -> web.Request:
    return make_mocked_request(method, "/", headers={"Host": "127.0.0.1:8765", **headers})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_own(host)
    assert Access(host).admits("")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "workstation.example"])
def test_other_computers_need_a_token(host: str) -> None:
    with pytest.raises(InputError, match="give a token"):
        Access(host)
    access = Access(host, "secret")
    assert access.admits("secret")
    assert not access.admits("")
    assert not access.admits("secre")


def test_a_page_of_another_site_is_refused() -> None:
    access = Access("127.0.0.1")
    access.check(request())
    access.check(request("POST", Origin="http://127.0.0.1:8765"))
    access.check(request(Upgrade="websocket", Origin="http://127.0.0.1:8765"))
    for other in ("http://evil.example", "http://127.0.0.1:9999", "null"):
        for asked in (request(Origin=other), request("POST", Origin=other), request(Upgrade="websocket", Origin=other)):
            with pytest.raises(web.HTTPForbidden):
                access.check(asked)


def test_what_changes_something_says_where_it_comes_from() -> None:
    with pytest.raises(web.HTTPForbidden):
        Access("127.0.0.1").check(request("POST"))


def test_a_strange_name_for_this_computer_is_refused() -> None:
    """A stranger's site may give its own name this computer's address."""
    with pytest.raises(web.HTTPForbidden):
        Access("127.0.0.1").check(request(Host="evil.example:8765"))

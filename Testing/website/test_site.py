"""The site is built without a warning, and no page of it fetches anything from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.browser import browser, missing
from support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")),
        reason="what builds the site is not installed: pip install 'tuckerseg[docs]'",
    ),
]


class Fetched(HTMLParser):
    """The addresses that a browser fetches by itself, not those that a reader may click on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        relation = given.get("rel") or ""
        if tag == "link" and relation not in ("canonical", "next", "prev"):
            self.found.add(given.get("href") or "")
        if tag in ("script", "img", "iframe", "source"):
            self.found.add(given.get("src") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert not [address for address in fetched.found if re.match(r"(https?:)?//", address)], page
        missing = [a for a in fetched.found if a and not a.startswith("data:") and not (page.parent / a).exists()]
        assert page.name == "404.html" or not missing, (page, missing)
    styles = " ".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?https?:", styles)


def test_a_browser_that_opens_the_pages_asks_nobody(site: Path) -> None:
    if missing():
        pytest.skip(missing())
    from playwright.sync_api import sync_playwright

    asked, complaints = set(), []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: asked.add(request.url))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        for path in sorted(site.rglob("*.html")):
            if path.name == "404.html":  # its addresses are those of a server
                continue
            page.goto(path.as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{path.name} is {wide} wide on a telephone"
        page.goto((site / "index.html").as_uri() + "?q=frontier")
        page.wait_for_selector(".md-search-result__link", state="attached", timeout=60_000)
        chromium.close()
    assert not [address for address in asked if not address.startswith(("file:", "data:", "blob:"))]
    assert not complaints


def test_what_python_offers_is_described_from_its_docstrings(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("segment", "Request", "Segmentation", "Volume", "Client", "TuckerSegError"):
        assert re.search(rf'id="TuckerSegLib[\w.]*\.{name}"', page), name
    assert "Segment an image; models stay open and prepared for the next call." in page

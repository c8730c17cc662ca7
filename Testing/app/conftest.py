"""The application, started as users start it, and a browser without a window that is there already."""

# mypy: allow-untyped-calls

from collections.abc import Iterator
from typing import Any

import pytest
from support.browser import PATIENCE, Running, Seen, browser, missing, start, stop, wait_until_drawn


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if missing():
        pytest.skip(missing())
    running = start(tmp_path_factory.mktemp("application"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if missing():
        pytest.skip(missing())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page(application: Running, chromium: Any) -> Iterator[Any]:
    """A user's page with the small image in its views and the small model chosen; `page.seen` is what it asked for."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.seen = Seen(opened)
    opened.goto(application.address)
    opened.wait_for_selector("#segment:not([disabled])", timeout=PATIENCE)
    wait_until_drawn(opened)
    opened.locator(".v-select", has_text="Model").click()
    opened.get_by_role("option", name="Dataset900").click()
    yield opened
    context.close()

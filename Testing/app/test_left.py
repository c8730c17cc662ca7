"""A window that is closed while it is told something is no error; everything else is."""

import asyncio
import gc
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError

from TuckerSegLib.app.viewer.left import expect_windows_to_be_closed


@pytest.mark.parametrize(
    ("error", "errors"),
    [(ClientConnectionResetError("Cannot write to closing transport"), 0), (KeyError("a fault of ours"), 1)],
)
def test_only_closed_windows_are_expected(error: Exception, errors: int) -> None:
    told: list[Any] = []

    async def tell() -> None:
        raise error

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.default_exception_handler = told.append  # type: ignore[method-assign, assignment]
        expect_windows_to_be_closed(loop)
        task = asyncio.ensure_future(tell())
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    asyncio.run(run())
    assert [one["exception"] for one in told] == [error] * errors

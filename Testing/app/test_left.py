"""A window that is closed while it is told something leaves nothing in the log; other errors do."""

import asyncio
import gc

import pytest
from aiohttp import ClientConnectionResetError

from TuckerSegLib.app.viewer.left import expect_windows_to_be_closed


@pytest.mark.parametrize(
    ("error", "said"),
    [(ClientConnectionResetError("Cannot write to closing transport"), 0), (KeyError("a fault of ours"), 1)],
)
def test_only_closed_windows_are_expected(error: Exception, said: int, caplog: pytest.LogCaptureFixture) -> None:
    async def told() -> None:
        raise error

    async def run() -> None:
        expect_windows_to_be_closed(asyncio.get_running_loop())
        task = asyncio.ensure_future(told())
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    asyncio.run(run())
    assert len(caplog.records) == said

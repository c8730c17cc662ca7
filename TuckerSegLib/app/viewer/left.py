"""Windows that are closed while they are told something: nobody is left to tell, and nothing went wrong."""

import asyncio
from typing import Any


def expect_windows_to_be_closed(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop say nothing of a message that a closed window no longer takes, and all else as before."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), ConnectionError):
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)

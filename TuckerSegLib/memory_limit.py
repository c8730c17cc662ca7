"""How much memory a run may take: what is left of its limit, or of the computer's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import psutil

from .errors import NotEnoughMemory

_log = logging.getLogger(__name__)

_limit: ContextVar[int | None] = ContextVar("limit", default=None)


@contextmanager
def at_most(limit: int | None) -> Iterator[None]:
    """Meanwhile this process is to have no more than so many bytes in memory; None for all that is free."""
    if limit is not None:
        _log.info("Takes at most %.1f GB of memory.", limit / 1e9)
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


def left() -> int:
    """Bytes that may still be taken."""
    free, limit = int(psutil.virtual_memory().available), _limit.get()
    return free if limit is None else max(0, min(free, limit - _taken()))


def check() -> None:
    """Whether the limit holds.

    Raises:
        NotEnoughMemory: more was taken.
    """
    limit = _limit.get()
    if limit is not None and (taken := _taken()) > limit:
        raise NotEnoughMemory(
            f"This run takes {taken / 1e9:.1f} GB of memory already and may take {limit / 1e9:.1f} GB: "
            "allow it more, crop the image, or choose a faster level."
        )


def _taken() -> int:
    return int(psutil.Process().memory_info().rss)

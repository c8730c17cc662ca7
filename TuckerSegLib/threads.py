"""How many cores PyTorch's operations take.

PyTorch takes the last number that any thread sets for that of all threads to come. On macOS the number stays as it is:
the OpenMP library there is reported to crash now and then where it is changed after the first parallel operation.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

_log = logging.getLogger(__name__)

_AT_FIRST = torch.get_num_threads()

ALL, ALL_BUT_ONE = 0, -1
"""Of the cores; of no more than two, both are taken."""


def set_threads(count: int) -> None:
    """Have the operations of this thread take so many cores, where that can be changed safely.

    A thread that was never asked for its number takes, at its first operation, the one that any thread set last.
    """
    if sys.platform != "darwin":
        torch.get_num_threads()
        torch.set_num_threads(count)


@contextmanager
def cores(wanted: int) -> Iterator[None]:
    """Have PyTorch take so many cores meanwhile, `ALL` it takes by itself, or `ALL_BUT_ONE`; the log says how many."""
    usual = _usual()
    count = wanted if wanted > 0 else usual - 1 if wanted == ALL_BUT_ONE and usual > 2 else usual
    before = torch.get_num_threads()
    if count != before:
        (_once if sys.platform == "darwin" else set_threads)(count)
    _log.info("Takes %d of %d cores.", torch.get_num_threads(), os.cpu_count() or 1)
    try:
        yield
    finally:
        set_threads(before)


def _usual() -> int:
    """What PyTorch took before anybody changed it."""
    return _AT_FIRST


@cache
def _allowed_once() -> list[int]:
    return []


def _once(count: int) -> None:
    """On macOS, before the first work of this process, or not at all."""
    if not _allowed_once():
        _allowed_once().append(count)
        torch.set_num_threads(count)
    elif count != torch.get_num_threads():
        _log.warning("On macOS the number of cores holds until TuckerSeg is started again: it stays as it was.")

"""The most memory that a process and all it started take together."""

import threading
import time
from contextlib import suppress

import psutil

_SECONDS_BETWEEN_LOOKS = 0.05

_SHARE = 10
"""Measuring holds up the processes that are measured, so it takes at most one part in so many of the time."""


class Footprint:
    """Measures the process `pid` and its children as long as the block runs; `peak` is in bytes.

    Memory that several of them share counts once where the system says so, which is on Linux.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak = 0

    def __enter__(self) -> "Footprint":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            start = time.perf_counter()
            with suppress(psutil.Error):
                processes = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(map(_memory, processes)))
            self._ended.wait(max(_SECONDS_BETWEEN_LOOKS, (time.perf_counter() - start) * (_SHARE - 1)))


def _memory(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    return 0

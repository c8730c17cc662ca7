"""Memory for activations, kept by the process: what is freed is taken again at once, from the lowest place on.

A patch needs a few hundred megabytes in blocks of many sizes, again and again. An allocator for all purposes leaves
holes between them that nothing fits into, or has the system zero them anew each time. Free of PyTorch.
"""

import mmap
import os
import weakref
from collections import deque
from functools import cache
from threading import Lock

import numpy as np
import numpy.typing as npt

SETTING = {"TUCKERSEG_WORKSPACE": "1"}
"""The environment of a process that keeps a workspace; needs Linux."""

_LEAST = 1 << 20
"""Bytes; smaller blocks are left to the allocator."""

_NORESERVE = 0x4000
"""Linux's MAP_NORESERVE, which Python has a name for from 3.12 on: addresses are no memory until they are written."""

Place = tuple[int, int]
"""First byte, and the one after the last."""


class Workspace:
    """`size` bytes of addresses, of which those in use take memory, and those that were."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._free: list[Place] = [(0, len(self._memory))]
        self._returned: deque[Place] = deque()
        self._lock = Lock()

    def take(self, count: int) -> npt.NDArray[np.float32] | None:
        """So many numbers, of any value, which come back with the array's last reference; None where no place fits."""
        with self._lock:
            place = self._lowest(-(-count * 4 // mmap.PAGESIZE) * mmap.PAGESIZE)
        if place is None:
            return None
        array = np.frombuffer(self._memory, np.float32, count, place[0])
        # May be called at any time by any thread, one that holds the lock included; a deque takes that.
        weakref.finalize(array, self._returned.append, place).atexit = False
        return array

    def give_back(self) -> None:
        """Let the system have the memory that nothing is in."""
        with self._lock:
            self._merge()
            for start, end in self._free:
                self._memory.madvise(mmap.MADV_DONTNEED, start, end - start)

    def _lowest(self, size: int) -> Place | None:
        self._merge()
        for index, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[index : index + 1] = [(start + size, end)] if end - start > size else []
                return start, start + size
        return None

    def _merge(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        merged: list[Place] = []
        for start, end in sorted(self._free):
            if merged and merged[-1][1] == start:
                start, _ = merged.pop()
            merged.append((start, end))
        self._free = merged


def take(count: int) -> npt.NDArray[np.float32] | None:
    """As `Workspace.take`; None for few numbers, and in a process that keeps no workspace."""
    workspace = _own() if count * 4 >= _LEAST else None
    return workspace.take(count) if workspace else None


def give_back() -> None:
    """As `Workspace.give_back`."""
    workspace = _own()
    if workspace:
        workspace.give_back()


@cache
def _own() -> Workspace | None:
    wanted = SETTING.items() <= os.environ.items() and hasattr(mmap, "MADV_HUGEPAGE")
    try:
        return Workspace(os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE) if wanted else None
    except OSError:  # fewer addresses are allowed
        return None

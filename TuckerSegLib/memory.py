"""How much memory this process has used, and what it no longer needs."""

import ctypes
import gc
import sys
from contextlib import suppress

import psutil


def peak_memory() -> int:
    """The most bytes this process has had in physical memory at once, since it started."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Have the allocator return to the system what it keeps for later, where it knows how to (glibc)."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

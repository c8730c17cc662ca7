"""How much memory this process has used, and what it no longer needs."""

import ctypes
import gc
import sys
from contextlib import suppress

import psutil

from . import workspace


def peak_memory() -> int:
    """The most bytes this process has had in physical memory at once, since it started."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Return to the system what is kept for later: in the workspace, and by the allocator where it can (glibc)."""
    gc.collect()
    workspace.give_back()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

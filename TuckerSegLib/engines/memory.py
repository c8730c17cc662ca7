"""How much memory this process has used, and what it no longer needs."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

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
    if sys.platform == "linux":  # Windows has no library without a name: asking for one raises TypeError there.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


_PROCESS = Path("/proc/self")


def start_peak() -> None:
    """Start measuring anew, where the system can: on Linux."""
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")


def peak_since_start() -> int:
    """Bytes in physical memory at once, since `start_peak`; since the process started elsewhere."""
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    return peak_memory()

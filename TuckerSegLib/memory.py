"""How much memory this process has used."""

import sys

import psutil


def peak_memory() -> int:
    """The most bytes this process has had in physical memory at once, since it started."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""The most memory that this process took during one run."""

from contextlib import suppress
from pathlib import Path

from .memory import peak_memory

_PROCESS = Path("/proc/self")


def reset() -> None:
    """Start measuring anew, where the system can: on Linux."""
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")


def since_reset() -> int:
    """Bytes in physical memory at once, since `reset`; since the process started where the system knows no other."""
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    return peak_memory()

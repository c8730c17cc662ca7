"""Whether processes have ended."""

# mypy: allow-untyped-calls

import time

import psutil


def is_gone_within(seconds: float, pid: int) -> bool:
    """Whether the process ends, or is only waited for, within so many seconds."""
    end = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

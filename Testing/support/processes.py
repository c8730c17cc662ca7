"""Whether processes have ended."""

# mypy: allow-untyped-calls

import time

import psutil


def is_gone(pid: int) -> bool:
    """Whether the process has ended, or is only waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # be it between two looks
        return True


def is_gone_within(seconds: float, pid: int) -> bool:
    """Whether the process ends, or is only waited for, within so many seconds."""
    end = time.monotonic() + seconds
    while not is_gone(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

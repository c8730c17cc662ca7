"""Processes that are ended with all they started, as what was started may be a launcher; free of PyTorch."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

SEPARATE: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}  # a group of its own, which a launcher shares with what it starts
)
"""What `subprocess.Popen` needs to be told, for `kill_all` to reach everything."""


def kill_all(started: int, own: int | None = None) -> None:
    """Kill the process that was started, what it started, and the process `own` where that is another one.

    Raises:
        OSError: there is no such process any more.
    """
    if sys.platform == "win32":  # with all that it started
        command = ["taskkill", "/F", "/T", "/PID", str(own or started)]
        subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
        os.kill(started, signal.SIGTERM)
        return
    if own and own != started:
        with contextlib.suppress(OSError):
            os.kill(own, signal.SIGKILL)
    os.killpg(started, signal.SIGKILL)

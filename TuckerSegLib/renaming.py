"""Files and folders that take their name once they are whole; on Windows a virus scanner may hold them for a while."""

import os
import sys
import time
from pathlib import Path

_SECONDS_BETWEEN = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""A scanner looks at what was just written, and lets go of it within seconds."""


def renamed(source: Path | str, target: Path | str) -> None:
    """`source` takes the name `target`, in place of what may be there; tried again where Windows says it is in use.

    Raises:
        OSError: it cannot.
    """
    for seconds in _SECONDS_BETWEEN if sys.platform == "win32" else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    os.replace(source, target)

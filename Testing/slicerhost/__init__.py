"""Runs scripted modules on Slicer's real scene and on real Qt widgets, without the application.

host = slicerhost.start()
panel = host.load_module("TuckerSeg/TuckerSeg.py")
panel.enter()
host.click(panel.ui.segmentButton)
assert not host.unexpected
host.quit()
"""

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

# Read once, when PySide6 is imported for the first time. In PythonQt every enumeration is an int.
os.environ.setdefault("PYSIDE6_OPTION_PYTHON_ENUM", "0x3")


def missing_libraries() -> str:
    """Which system library keeps Qt from loading; empty if none does."""
    spec = importlib.util.find_spec("PySide6")
    if spec is None or spec.origin is None:
        return "PySide6-Essentials is not installed"
    try:
        ctypes.CDLL(str(Path(spec.origin).parent / "Qt/plugins/platforms/libqoffscreen.so"))
        from . import qtbase  # noqa: F401
    except (OSError, ImportError) as error:
        return f"{error} (apt-get install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 fonts-dejavu-core)"
    return ""


def start(offscreen: bool = True, main_window: bool = True, packaging: bool = True, pytorch: bool = False) -> "Host":
    """See host.start; Qt takes its platform from here, once a process."""
    if offscreen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from . import host

    return host.start(offscreen, main_window, packaging, pytorch)

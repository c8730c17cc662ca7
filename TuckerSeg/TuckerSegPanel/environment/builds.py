"""The PyTorch build that fits this computer, what uv needs to be told for it, and how much room all then takes."""

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

_PYTHON = "3.12"
"""The interpreter that uv fetches."""

_LAST_FOR_INTEL_MACS = "2.2.2"


@dataclass(frozen=True)
class Build:
    """A build by its `title`.

    `backend` is uv's name for where the build comes from, empty for the ordinary index; `megabytes` are those on the
    disk; `python` is what uv calls the interpreter; `platform` is pip's name for a uv that runs on the bare processor.
    """

    title: str
    backend: str
    megabytes: int
    python: str = _PYTHON
    platform: str = ""

    @property
    def gigabytes(self) -> str:
        return f"{self.megabytes / 1000:.1f} GB"


CPU = Build("CPU", "cpu", 2000)
CUDA = Build("NVIDIA GPU", "auto", 6000)
APPLE = Build("Apple GPU", "", 2000, f"cpython-{_PYTHON}-macos-aarch64-none", "macosx_11_0_arm64")
ORDINARY = Build("PyPI", "", 2000)
"""What the ordinary index has: for computers with an index of their own."""


def fitting() -> Build:
    """The build for this computer's GPU, if it has one that PyTorch can use, else for its CPU."""
    if sys.platform == "darwin":
        return APPLE
    return CUDA if has_nvidia() else CPU


def has_nvidia() -> bool:
    """Whether there is a driver of NVIDIA's."""
    return bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").is_file()


def obstacle() -> str:
    """Why no PyTorch of today runs on this computer, in words; empty where one does."""
    if sys.platform == "darwin" and not is_apple_silicon():
        return _(
            "PyTorch ended with version {version} for Macs with an Intel processor, which is too old: use another "
            "computer."
        ).format(version=_LAST_FOR_INTEL_MACS)
    return ""


def is_apple_silicon() -> bool:
    """Whether the Mac's processor is Apple's: 3D Slicer is an Intel program there, and is told it ran on such."""
    if platform.machine() == "arm64":
        return True
    command = ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() == "1"
    except OSError:
        return False

"""The computer that measurements ran on."""

import os
import platform
from pathlib import Path

import torch


def computer() -> dict[str, str | int]:
    """The processor, its cores, and the versions that matter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """The processor's name, which Linux gives in /proc/cpuinfo alone."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()

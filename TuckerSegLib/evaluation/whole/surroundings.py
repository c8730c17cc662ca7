"""Where and with what a benchmark ran: processor, instructions, versions, date, and what else the computer did."""

import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

from ...version import VERSION, version_of
from ..speed.computer import computer

_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
"""Those that networks gain from, as Linux names them."""

_PACKAGES = ("nnunetv2", "TotalSegmentator", "openvino", "onnxruntime", "llvmlite", "numpy")


def surroundings() -> dict[str, str | int | float]:
    """What a row needs beside it to be compared with another's."""
    versions = {name: found for name in _PACKAGES if (found := version_of(name)) != "none"}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tuckerseg": VERSION,
        **computer(),
        "features": _features(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(psutil.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        **versions,
    }


def _features() -> str:
    """The instructions that matter; where the system lists none, what PyTorch uses."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.partition(":")[2].split())
                return " ".join(name for name in _INSTRUCTIONS if name in flags)
    return torch.backends.cpu.get_cpu_capability().lower()

"""The processor of this computer: what times that were measured here hold for."""

import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

CPU = torch.device("cpu")

_CPUINFO = Path("/proc/cpuinfo")


def circumstances(device: torch.device = CPU) -> str:
    """What a time depends on besides the work: the processor, its instructions that are used, threads, PyTorch.

    Not the computer's name, which changes with the network that a laptop is in. Of a GPU: its name, and PyTorch.
    """
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} {torch.__version__}"
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{name()} {platform.machine()} {instructions} {torch.get_num_threads()} {torch.__version__}"


@cache
def name() -> str:
    """As its maker writes it; of Windows its family and model, as `platform` tells no more."""
    with suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        lines = _CPUINFO.read_text().splitlines() if sys.platform == "linux" else []
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()

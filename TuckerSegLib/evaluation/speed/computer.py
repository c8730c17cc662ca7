"""The computer that measurements ran on."""

import os
import platform

import torch

from ...engines.timing import processor


def computer(device: str = "cpu") -> dict[str, str | int]:
    """The processor, its cores, the GPU where that ran, and the versions that matter."""
    gpu = {"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}
    return {
        **gpu,
        "processor": processor.name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }

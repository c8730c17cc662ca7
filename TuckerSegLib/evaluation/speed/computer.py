"""The computer that measurements ran on."""

import os
import platform

import torch

from ...engines.timing import processor


def computer() -> dict[str, str | int]:
    """The processor, its cores, and the versions that matter."""
    return {
        "processor": processor.name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }

"""The devices that PyTorch can use on this computer."""

import torch

from ..errors import InputError
from .names import DEVICES


def torch_device(name: str) -> torch.device:
    """The device called `name`.

    Raises:
        InputError: there is no such device here.
    """
    if name not in DEVICES:
        raise InputError(f"There is no device {name}: choose one of {', '.join(DEVICES)}.")
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in here.items() if available)
    if not here[name]:
        raise InputError(f"This computer has no {name} device that PyTorch can use: choose auto or cpu.")
    return torch.device(name)

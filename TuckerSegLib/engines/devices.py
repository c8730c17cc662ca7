"""The devices that PyTorch can use on this computer, and whether a GPU among them can run networks at all."""

import logging
from functools import cache

import torch
from torch import nn

from ..errors import InputError
from .names import DEVICES

_log = logging.getLogger(__name__)


def torch_device(name: str) -> torch.device:
    """The device called `name`; for "auto" the first of `devices`.

    Raises:
        InputError: there is no such device here.
    """
    return devices(name)[0]


def devices(name: str) -> list[torch.device]:
    """What `name` may mean, the best first: "auto" is a GPU that works, and the CPU where that fails after all.

    Raises:
        InputError: there is no such device here.
    """
    if name not in DEVICES:
        raise InputError(f"There is no device {name}: choose one of {', '.join(DEVICES)}.")
    if name == "auto":
        found = [kind for kind in ("cuda", "mps") if _is_there(kind) and _runs_networks(kind)]
        return [torch.device(kind) for kind in (*found[:1], "cpu")]
    if not _is_there(name):
        raise InputError(f"This computer has no {name} device that PyTorch can use: choose auto or cpu.")
    return [torch.device(name)]


def _is_there(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()


@cache
def _runs_networks(kind: str) -> bool:
    """Whether a GPU runs, in a small network, the operations that nnU-Nets consist of.

    A card may be there and too old for this build of PyTorch, its memory may be taken, or an operation be missing.
    """
    try:
        with torch.inference_mode():
            answer = _small_network().to(kind)(torch.ones(1, 1, 8, 8, 8, device=kind))
            works = bool(answer.cpu().isfinite().all())
    except Exception as error:
        _log.warning("The %s device is there but cannot run networks, the CPU is used: %s", kind, _first_line(error))
        return False
    if not works:
        _log.warning("The %s device gives answers that are not finite, the CPU is used.", kind)
    return works


def _small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.InstanceNorm3d(4, affine=True),
        nn.LeakyReLU(inplace=True),
        nn.Conv3d(4, 4, 3, stride=2, padding=1),
        nn.ConvTranspose3d(4, 4, 2, 2),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

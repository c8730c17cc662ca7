"""The most arithmetic and memory traffic that this computer can do, measured on the spot."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...engines.timing.bench import clock_of

_REPEATS = 5

_SIDE = 2048

_COPIED = 50_000_000
"""Numbers that are copied, far more than any cache holds."""

_CHANNELS, _VOXELS = 64, 56


_CPU = torch.device("cpu")


def operations_a_second(device: torch.device = _CPU) -> float:
    """The better of a large matrix product and a large convolution; a multiply-add is two.

    In single precision, on a GPU in half.
    """
    kind: dict[str, Any] = {"device": device, "dtype": torch.float if device.type == "cpu" else torch.half}
    return max(_product(kind), _convolution(kind))


def bytes_a_second(device: torch.device = _CPU) -> float:
    """Bytes read and written together, in a large copy."""
    source = torch.ones(_COPIED, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _median(lambda: target.copy_(source), device)


def _product(kind: dict[str, Any]) -> float:
    side = _SIDE if kind["device"].type == "cpu" else 4 * _SIDE
    matrix = torch.ones(side, side, **kind)
    return 2 * side**3 / _median(lambda: matrix @ matrix, kind["device"])


def _convolution(kind: dict[str, Any]) -> float:
    layer = nn.Conv3d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False, **kind).requires_grad_(False)
    layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    image = torch.ones(1, _CHANNELS, *[_VOXELS] * 3, **kind).contiguous(memory_format=torch.channels_last_3d)
    return 2 * layer.weight.numel() * _VOXELS**3 / _median(lambda: layer(image), kind["device"])


def _median(work: Callable[[], object], device: torch.device) -> float:
    clock = clock_of(device)
    work()
    seconds = []
    for _ in range(_REPEATS):
        start = clock()
        work()
        seconds.append(clock() - start)
    return statistics.median(seconds)

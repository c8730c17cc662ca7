"""The most arithmetic and memory traffic that this computer can do, measured on the spot."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

_REPEATS = 5

_SIDE = 2048

_COPIED = 50_000_000
"""Numbers that are copied, far more than any cache holds."""

_CHANNELS, _VOXELS = 64, 56


def operations_a_second() -> float:
    """The better of a large matrix product and a large convolution, in single precision; a multiply-add is two."""
    return max(_product(), _convolution())


def bytes_a_second() -> float:
    """Bytes read and written together, in a large copy."""
    source = torch.ones(_COPIED)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _median(lambda: target.copy_(source))


def _product() -> float:
    matrix = torch.ones(_SIDE, _SIDE)
    return 2 * _SIDE**3 / _median(lambda: matrix @ matrix)


def _convolution() -> float:
    layer = nn.Conv3d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False).requires_grad_(False)
    layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    image = torch.ones(1, _CHANNELS, *[_VOXELS] * 3).contiguous(memory_format=torch.channels_last_3d)
    return 2 * layer.weight.numel() * _VOXELS**3 / _median(lambda: layer(image))


def _median(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)

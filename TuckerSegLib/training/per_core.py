"""Parts of a batch side by side: on a processor, cores that share a patch wait for each other at every layer."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psutil
import torch
from torch import Tensor, nn

from ..decomposition.counting import input_shapes
from ..threads import set_threads

Result = TypeVar("Result")

_BYTES = 16
"""A step keeps, of each number that a convolution reads, so many: it, its normalised and activated form, its slope."""

_SHARE = 2
"""One part in so many of the memory that is free may be taken."""


class PerCore:
    """Runs equal parts of a batch side by side on a processor's cores; on other devices all at once."""

    def __init__(self, device: torch.device, batch: int) -> None:
        cores = torch.get_num_threads() if device.type == "cpu" else 1
        self._count = max(count for count in range(1, cores + 1) if batch % count == 0)
        self._pool = ThreadPoolExecutor(self._count, initializer=set_threads, initargs=(cores // self._count,))

    def map(self, work: Callable[..., Result], *batches: Tensor) -> list[Result]:
        """What `work` gives for each part of the batches, which are cut alike."""
        run = self._pool.map if self._count > 1 else map
        return list(run(work, *(batch.chunk(self._count) for batch in batches)))


def patches_at_once(network: nn.Module, patch: tuple[int, ...], device: torch.device) -> int:
    """Patches (C, *spatial) of a training step: two, or one where they have no cores or no memory of their own.

    On macOS cores cannot be divided among them (`threads`).
    """
    if device.type != "cpu" or sys.platform == "darwin" or torch.get_num_threads() < 2:
        return 1
    numbers = sum(torch.Size(shape).numel() for shape in input_shapes(network, patch).values())
    return 2 if 2 * numbers * _BYTES < psutil.virtual_memory().available // _SHARE else 1

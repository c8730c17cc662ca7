"""Where networks and their layers are timed: an engine, a device, and a clock that waits for the device."""

# mypy: allow-untyped-calls

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..base import Prepared, Source
from ..fused.channels_last import channels_last
from ..fused.engine import FusedEngine
from ..gpu.engine import GpuEngine
from .processor import circumstances

Clock = Callable[[], float]
"""Tells seconds."""


@dataclass(frozen=True)
class Bench:
    """
    Attributes:
        engine: what runs there.
        clock: tells seconds, when what was begun is done.
        together: channels that the device works on at once.
        voxels: of a layer's input at most: enough for times in proportion to those of whole patches.
        circumstances: what a time depends on besides the work.
    """

    engine: FusedEngine | GpuEngine
    device: torch.device
    clock: Clock
    together: int
    voxels: int
    circumstances: str

    def prepared(self, network: nn.Module, shape: Sequence[int]) -> Prepared:
        """The network, which is on the CPU, ready for patches (C, *spatial)."""
        return self.engine.prepare(Source("", lambda: network, tuple(shape)), self.device)

    def patch(self, shape: Sequence[int]) -> Tensor:
        """A patch of noise, (1, C, *spatial)."""
        return channels_last(torch.randn(1, *shape, device=self.device))


def bench_on(device: torch.device) -> Bench:
    """The bench for a device that the fused engine runs on; for the CPU where it is another one."""
    if device.type == "cuda":
        return Bench(GpuEngine(), device, clock_of(device), 16, 2_200_000, circumstances(device))
    return Bench(FusedEngine(), torch.device("cpu"), time.perf_counter, 8, 250_000, circumstances())


def clock_of(device: torch.device) -> Clock:
    """The computer's; of a GPU, that of its own events, which knows nothing of what the computer does meanwhile."""
    return _Events(device) if device.type == "cuda" else time.perf_counter


class _Events:
    """Seconds between CUDA's events, added up; each waits for what was begun before."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = self._event()
        self._seconds = 0.0

    def __call__(self) -> float:
        now = self._event()
        self._seconds += self._last.elapsed_time(now) / 1e3
        self._last = now
        return self._seconds

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        event.synchronize()
        return event

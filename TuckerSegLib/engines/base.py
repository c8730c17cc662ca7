"""What every engine offers: prepare a network for a device and a patch, run it, say what memory it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Source:
    """A network that an engine may prepare.

    `load` gives it on the CPU, in evaluation mode and single precision, with its weights; an engine that has it
    prepared on disk under `key`, which changes with the weights, need not ask. `patch` is (C, *spatial).
    """

    key: str
    load: Callable[[], nn.Module]
    patch: tuple[int, ...]


class Prepared(Protocol):
    """A network ready to run: (N, C, *spatial) to (N, K, *spatial), tensors on the device it was prepared for."""

    @property
    def engine(self) -> str: ...

    @property
    def memory(self) -> int:
        """Bytes that its weights take for as long as it is kept."""
        ...

    def __call__(self, patches: Tensor) -> Tensor: ...


class Engine(Protocol):
    """A way to run networks; whatever it raises means that another engine should be tried."""

    @property
    def name(self) -> str: ...

    @property
    def is_reference(self) -> bool:
        """Whether its answers are bit for bit those with which nnU-Net finds its labels."""
        ...

    @property
    def is_rounded(self) -> bool:
        """Whether it computes in less than single precision, so that its answers are only nearly the network's."""
        ...

    @property
    def has_layer_times(self) -> bool:
        """Whether `LayerTimes` are its own, so that ranks can be tuned to it."""
        ...

    def supports(self, device: torch.device) -> bool:
        """Whether it is installed and runs on such a device."""
        ...

    def prepare(self, source: Source, device: torch.device) -> Prepared: ...

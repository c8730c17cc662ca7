"""How much of each layer is kept: one small class a policy, all behind `RankPolicy`."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

from .errors import InputError
from .tucker import Convolution, Ranks

LEVELS = (1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
"""The published downsampling factors, from most accurate to fastest: the positions of the slider."""

Settings = dict[str, str | int | float]
"""What a policy is and how it is set, as JSON can hold it; equal settings mean equal ranks for equal weights."""


class RankPolicy(Protocol):
    """Chooses the ranks of a whole network at once."""

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        """Ranks for each layer that is to be decomposed; a layer that is left out stays as it is."""
        ...

    @property
    def settings(self) -> Settings:
        """The policy's name under "policy" and all its settings."""
        ...


@dataclass(frozen=True)
class Relative:
    """The published policy: R = clip(ceil(C * factor), minimum, C) for either channel mode of every layer.

    A factor of 1 is the original network: nothing is decomposed. (Weber et al., Radiology: AI 2025.)

    Raises:
        InputError: the factor is outside (0, 1], or the minimum is below 1.
    """

    factor: float
    minimum: int = 8
    name: ClassVar[str] = "relative"

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise InputError(f"A factor of {self.factor:g} is outside (0, 1]: choose one of {_readable(LEVELS)}.")
        if self.minimum < 1:
            raise InputError(f"A minimum rank of {self.minimum} leaves no channel: choose 1 or more.")

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        if self.factor == 1:
            return {}
        return {
            name: Ranks(self._rank(layer.out_channels), self._rank(layer.in_channels)) for name, layer in layers.items()
        }

    @property
    def settings(self) -> Settings:
        return {"policy": self.name, **asdict(self)}

    def _rank(self, channels: int) -> int:
        # The product is rounded first: 0.1 * 30 is 3.0000000000000004 in floating point, and its ceiling 4.
        return min(max(math.ceil(round(channels * self.factor, 9)), self.minimum), channels)


def _readable(levels: tuple[float, ...]) -> str:
    return ", ".join(f"{level:g}" for level in levels)

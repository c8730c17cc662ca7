"""How networks are compressed: `Policy`, what every way has, and one small class for each way to choose ranks."""

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from torch import nn

from ..errors import InputError
from ..progress import Progress
from . import vbmf
from .counting import convolutions
from .network import Report, decompose
from .published import LEVELS
from .spectra import Spectra, Values, spectra_of, tails
from .tucker import Convolution, Ranks

Settings = dict[str, str | int | float]
"""What a policy is and how it is set, as JSON can hold it; equal settings mean equal ranks for equal weights."""


class Policy(Protocol):
    """A way to compress networks; whoever uses one needs not know which it is."""

    @property
    def settings(self) -> Settings:
        """The policy's name under "policy" and all its settings."""
        ...

    @property
    def keeps_all(self) -> bool:
        """Whether every network stays as it is."""
        ...

    def compress(
        self, network: nn.Module, patch: Sequence[int] | None = None, progress: Progress | None = None
    ) -> tuple[nn.Module, Report]:
        """A compressed copy of the network and what was done; multiply-adds are counted for a patch (C, *spatial).

        Raises:
            Cancelled: `progress` was cancelled; at the latest after the current layer.
        """
        ...

    def at(self, ranks: Mapping[str, Ranks]) -> "Policy":
        """The same way to compress, at ranks that were chosen already, such as on the first of several folds."""
        ...


class RankPolicy(ABC):
    """Chooses the ranks of a whole network at once, at which every layer is decomposed by its weights alone."""

    @abstractmethod
    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        """Ranks for each layer that is to be decomposed; a layer that is left out stays as it is."""

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """As every `Policy` has them."""

    @property
    def keeps_all(self) -> bool:
        return False

    def compress(
        self, network: nn.Module, patch: Sequence[int] | None = None, progress: Progress | None = None
    ) -> tuple[nn.Module, Report]:
        return decompose(network, self.choose(convolutions(network)), patch, progress)

    def at(self, ranks: Mapping[str, Ranks]) -> "RankPolicy":
        return Chosen(ranks)

    def with_errors(self, predict: Callable[[], Mapping[str, Values]]) -> "RankPolicy":
        """The policy for somebody who can predict, at some expense, what each layer loses at each pair of ranks.

        Most policies do not need that, and stay as they are.
        """
        return self


@dataclass(frozen=True)
class Chosen(RankPolicy):
    """Ranks that were chosen already, by whatever has the settings `made_by`."""

    ranks: Mapping[str, Ranks]
    made_by: Settings = field(default_factory=dict)

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return dict(self.ranks)

    @property
    def settings(self) -> Settings:
        """Those of what chose them, and a SHA-256 over the ranks."""
        content = json.dumps(self.ranks, sort_keys=True).encode()
        return {**self.made_by, "fitted": hashlib.sha256(content).hexdigest()[:16]}


@dataclass(frozen=True)
class Relative(RankPolicy):
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
        _check_minimum(self.minimum)

    @property
    def keeps_all(self) -> bool:
        return self.factor == 1

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        if self.keeps_all:
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


@dataclass(frozen=True)
class Energy(RankPolicy):
    """The fewest ranks that keep `share` of the squared singular values, in each channel mode of every layer.

    The kernel's squared error is then at most 2 (1 - share) of its squared norm (De Lathauwer et al., SIAM J. Matrix
    Anal. Appl. 21, 2000, property 10). A layer that would take more parameters in three parts stays as it is.

    Raises:
        InputError: the share is outside (0, 1), or the minimum is below 1.
    """

    share: float
    minimum: int = 1
    name: ClassVar[str] = "energy"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"A share of {self.share:g} is outside (0, 1): choose one such as 0.9.")
        _check_minimum(self.minimum)

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return _smaller(layers, {name: self._ranks(spectra_of(layer)) for name, layer in layers.items()})

    @property
    def settings(self) -> Settings:
        return {"policy": self.name, **asdict(self)}

    def _ranks(self, spectra: Spectra) -> Ranks:
        return Ranks(*(max(self._rank(squares), min(self.minimum, len(squares))) for squares in spectra.modes))

    def _rank(self, squares: Values) -> int:
        lost = tails(squares)
        return int(np.argmax(lost <= (1 - self.share) * lost[0])) or 1


@dataclass(frozen=True)
class Vbmf(RankPolicy):
    """The ranks that stand out of the noise by variational Bayes (`vbmf`), in each channel mode of every layer.

    There is no share to set. A layer that would take more parameters in three parts stays as it is. (Kim et al., ICLR
    2016, section 3.2, chose ranks in this way.)

    Raises:
        InputError: the minimum is below 1.
    """

    minimum: int = 8
    name: ClassVar[str] = "vbmf"

    def __post_init__(self) -> None:
        _check_minimum(self.minimum)

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return _smaller(layers, {name: self._ranks(layer) for name, layer in layers.items()})

    @property
    def settings(self) -> Settings:
        return {"policy": self.name, **asdict(self)}

    def _ranks(self, layer: Convolution) -> Ranks:
        size = layer.weight.numel()
        return Ranks(*(self._rank(squares, size // len(squares)) for squares in spectra_of(layer).modes))

    def _rank(self, squares: Values, columns: int) -> int:
        rows = len(squares)
        found = vbmf.rank(squares[: min(rows, columns)], max(rows, columns))
        return min(max(found, self.minimum), rows)


def _smaller(layers: Mapping[str, Convolution], ranks: Mapping[str, Ranks]) -> dict[str, Ranks]:
    """Only the layers that take fewer parameters in three parts."""
    return {name: pair for name, pair in ranks.items() if is_smaller(layers[name], pair)}


def is_smaller(layer: Convolution, ranks: Ranks) -> bool:
    """Whether the layer takes fewer parameters in three parts at these ranks."""
    core = ranks.out * ranks.into * math.prod(layer.kernel_size)
    return layer.in_channels * ranks.into + core + layer.out_channels * ranks.out < layer.weight.numel()


def _check_minimum(minimum: int) -> None:
    if minimum < 1:
        raise InputError(f"A minimum rank of {minimum} leaves no channel: choose 1 or more.")


def _readable(levels: tuple[float, ...]) -> str:
    return ", ".join(f"{level:g}" for level in levels)

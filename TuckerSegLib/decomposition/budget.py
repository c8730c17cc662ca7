"""The ranks that lose the least of all layers together for given parameters, multiply-adds or seconds."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from torch import nn

from ..errors import InputError
from . import allocation
from .policies import RankPolicy, Relative, Settings
from .spectra import Values, spectral_errors
from .tucker import Convolution, Ranks

MEASURES = ("parameters", "multiply-adds", "seconds")
"""The units that a budget can be given in."""


@dataclass(frozen=True)
class Seconds:
    """Seconds that a layer takes as it is, and in three parts at each pair of ranks, (O, I)."""

    dense: float
    decomposed: Values


@dataclass(frozen=True)
class Budget(RankPolicy):
    """The ranks that lose the least of all layers together for given parameters, multiply-adds or seconds.

    What a layer loses is predicted from its spectra (`spectral_errors`), unless `errors` says it. Layers may stay as
    they are, at no loss. The method is described in `allocation`.

    Args:
        factor: the budget is what `Relative(factor)` takes, or
        share: this share of what the convolutions take as they are; one of the two.
        measure: "parameters", or "multiply-adds", which needs `work`, each layer's before compression, or "seconds",
            which needs those of each layer.
        errors: (O, I) of layers, what is lost at each pair of ranks, where something is known of the data they see.

    Raises:
        InputError: factor or share are out of range, both or neither is given, or the measure is unknown.
    """

    factor: float | None = None
    share: float | None = None
    measure: str = "parameters"
    work: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    seconds: Mapping[str, Seconds] = field(default_factory=dict, repr=False, compare=False)
    errors: Mapping[str, Values] = field(default_factory=dict, repr=False, compare=False)
    name: ClassVar[str] = "budget"

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.share is None):
            raise InputError("A budget is either a factor or a share: give one of the two.")
        if self.factor is not None:
            Relative(self.factor)
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(f"A share of {self.share:g} is outside (0, 1]: choose one such as 0.1.")
        if self.measure not in MEASURES:
            raise InputError(f"There is no measure {self.measure}: choose {' or '.join(MEASURES)}.")

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        """Raises InputError where multiply-adds or seconds are the measure and a layer's are not known."""
        budget = self._budget(layers)
        curves = {name: self._curve(name, layer) for name, layer in layers.items()}
        chosen = allocation.allocate(curves, budget)
        ranks = {name: curves[name].ranks[index] for name, index in chosen.items()}
        found = {name: pair for name, pair in ranks.items() if pair is not None}
        published = self._largest_published(layers, budget)
        return min((found, published), key=lambda ranks: self.predicted_error(layers, ranks))

    def with_errors(self, predict: Callable[[], Mapping[str, Values]]) -> "Budget":
        return self if self.errors else replace(self, errors=predict())

    def predicted_error(self, layers: Mapping[str, Convolution], ranks: Mapping[str, Ranks]) -> float:
        """What the policy minimises, at any ranks: the sum over layers of their predicted relative squared errors."""
        errors = {name: self._errors(name, layers[name]) for name in ranks}
        return float(sum(errors[name][pair.out - 1, pair.into - 1] for name, pair in ranks.items()))

    def cost(self, layers: Mapping[str, Convolution], ranks: Mapping[str, Ranks]) -> float:
        """What all layers take at these ranks, in the measure; layers without ranks stay as they are."""
        return sum(self._cost(name, layer, ranks.get(name)) for name, layer in layers.items())

    @property
    def settings(self) -> Settings:
        asked: Settings = {} if self.factor is None else {"factor": self.factor}
        asked |= {} if self.share is None else {"share": self.share}
        asked |= {"times": self._digest()} if self.measure == "seconds" else {}
        return {"policy": self.name, **asked, "measure": self.measure}

    def _budget(self, layers: Mapping[str, Convolution]) -> float:
        if self.factor is not None:
            return self.cost(layers, Relative(self.factor).choose(layers))
        assert self.share is not None
        return self.cost(layers, {}) * self.share

    def _largest_published(self, layers: Mapping[str, Convolution], budget: float) -> dict[str, Ranks]:
        """The largest published ranks within the budget; the relaxation may do worse than one lucky point."""
        for percent in range(99, 0, -1):
            ranks = Relative(percent / 100).choose(layers)
            if self.cost(layers, ranks) <= budget:
                return ranks
        return {name: Ranks(1, 1) for name in layers}

    def _curve(self, name: str, layer: Convolution) -> allocation.Curve:
        return allocation.curve(self._costs(name, layer), self._errors(name, layer), self._cost(name, layer, None))

    def _errors(self, name: str, layer: Convolution) -> Values:
        return self.errors[name] if name in self.errors else spectral_errors(layer)

    def _cost(self, name: str, layer: Convolution, ranks: Ranks | None) -> float:
        if self.measure == "seconds":
            taken = self._seconds(name)
            return taken.dense if ranks is None else float(taken.decomposed[ranks.out - 1, ranks.into - 1])
        first, core, last = self._unit_costs(name, layer)
        if ranks is None:
            return core * layer.out_channels * layer.in_channels
        return first * ranks.into + core * ranks.out * ranks.into + last * ranks.out

    def _costs(self, name: str, layer: Convolution) -> Values:
        """(O, I): what the layer takes in three parts at each pair of ranks."""
        if self.measure == "seconds":
            return self._seconds(name).decomposed
        out, into = np.arange(1.0, layer.out_channels + 1)[:, None], np.arange(1.0, layer.in_channels + 1)
        first, core, last = self._unit_costs(name, layer)
        costs: Values = first * into + core * out * into + last * out
        return costs

    def _seconds(self, name: str) -> Seconds:
        if name not in self.seconds:
            raise InputError("A budget of seconds needs those of every layer: have them measured first.")
        return self.seconds[name]

    def _digest(self) -> str:
        """A SHA-256 over all seconds, as what was measured elsewhere, or again, leads to other ranks."""
        found = hashlib.sha256()
        for name, taken in sorted(self.seconds.items()):
            found.update(f"{name} {taken.dense} {taken.decomposed.shape}".encode() + taken.decomposed.tobytes())
        return found.hexdigest()

    def _unit_costs(self, name: str, layer: Convolution) -> tuple[int, int, int]:
        """What *first*, *core* and *last* cost for each of their ranks."""
        voxels = math.prod(layer.kernel_size)
        if self.measure == "parameters":
            return layer.in_channels, voxels, layer.out_channels
        if name not in self.work:
            raise InputError("A budget of multiply-adds needs the network's own: name the model's patch.")
        outside, stride = self.work[name] // layer.weight.numel(), math.prod(layer.stride)
        transposed = isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d))
        before, after = (outside, outside * stride) if transposed else (outside * stride, outside)
        return layer.in_channels * before, voxels * outside, layer.out_channels * after

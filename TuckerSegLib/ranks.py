"""How much of each layer is kept: one small class a policy, all behind `RankPolicy`."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import allocation, vbmf
from .errors import InputError
from .tucker import Convolution, Ranks, kernel_of

Values = npt.NDArray[np.float64]

LEVELS = (1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
"""The published downsampling factors, from most accurate to fastest: the positions of the slider."""

MEASURES = ("parameters", "multiply-adds", "seconds")
"""What a budget can be given in."""

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
        _check_minimum(self.minimum)

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


@dataclass(frozen=True)
class Spectra:
    """The squared singular values of a kernel's two channel unfoldings, (O,) and (I,), in descending order."""

    out: Values
    into: Values

    @property
    def energy(self) -> float:
        """The kernel's squared norm: what each of the two sums up to."""
        return float(self.out.sum())


def spectra_of(layer: Convolution) -> Spectra:
    """The spectra of a layer's kernel alone; nothing is known of what it is applied to."""
    return Spectra(_squares(kernel_of(layer), 0), _squares(kernel_of(layer), 1))


def spectral_errors(layer: Convolution) -> Values:
    """(O, I): by the kernel alone, the squared error at each pair of ranks, as a share of what is kept.

    Of the kernel's energy the shares a and b are kept in the two modes, and 1 / (a b) - 1, error to what is kept,
    bounds its relative squared error; normalisation after a layer scales what is kept up again, error and all, and
    makes layers of different scale comparable.
    """
    tiny = np.finfo(float).tiny
    out, into = (1 - _tails(s)[1:] / max(float(s.sum()), tiny) for s in _both(spectra_of(layer)))
    return 1 / np.maximum(out[:, None] * into, 1e-6) - 1


@dataclass(frozen=True)
class Energy:
    """Of each channel mode of every layer, the fewest ranks that keep `share` of its squared singular values.

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
        return Ranks(*(max(self._rank(squares), min(self.minimum, len(squares))) for squares in _both(spectra)))

    def _rank(self, squares: Values) -> int:
        lost = _tails(squares)
        return int(np.argmax(lost <= (1 - self.share) * lost[0])) or 1


@dataclass(frozen=True)
class Vbmf:
    """Of each channel mode of every layer, what stands out of the noise, by variational Bayes (`vbmf`).

    Has no share to set. A layer that would take more parameters in three parts stays as it is. (Kim et al., ICLR 2016,
    section 3.2, chose ranks so.)

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
        return Ranks(*(self._rank(squares, size // len(squares)) for squares in _both(spectra_of(layer))))

    def _rank(self, squares: Values, columns: int) -> int:
        rows = len(squares)
        found = vbmf.rank(squares[: min(rows, columns)], max(rows, columns))
        return min(max(found, self.minimum), rows)


@dataclass(frozen=True)
class Seconds:
    """What a layer takes as it is, and in three parts at each pair of ranks, (O, I)."""

    dense: float
    decomposed: Values


@dataclass(frozen=True)
class Budget:
    """The ranks that lose the least of all layers together for given parameters, multiply-adds or seconds.

    What a layer loses is predicted by its spectra (`spectral_errors`), or told. Layers may stay as they are, at no
    loss. (`allocation` for the method.)

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
        """The published ranks that fit, as a candidate: a relaxation may lie above one lucky point."""
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
        """Of all seconds: what was measured elsewhere, or again, leads to other ranks."""
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


def _smaller(layers: Mapping[str, Convolution], ranks: Mapping[str, Ranks]) -> dict[str, Ranks]:
    """Only the layers that take fewer parameters in three parts."""
    return {name: pair for name, pair in ranks.items() if is_smaller(layers[name], pair)}


def is_smaller(layer: Convolution, ranks: Ranks) -> bool:
    """Whether the layer takes fewer parameters in three parts at these ranks."""
    core = ranks.out * ranks.into * math.prod(layer.kernel_size)
    return layer.in_channels * ranks.into + core + layer.out_channels * ranks.out < layer.weight.numel()


def _both(spectra: Spectra) -> tuple[Values, Values]:
    return spectra.out, spectra.into


def _squares(kernel: Tensor, mode: int) -> Values:
    unfolded = kernel.detach().cpu().double().movedim(mode, 0).flatten(1)
    squares: Values = torch.linalg.eigvalsh(unfolded @ unfolded.T).flip(0).clamp(min=0).numpy()
    return squares


def _tails(squares: Values) -> Values:
    """(C + 1,): the sum of what is lost when 0, 1, ... C values are kept; the last is exactly 0."""
    return np.append(np.cumsum(squares[::-1])[::-1], 0.0)


def _check_minimum(minimum: int) -> None:
    if minimum < 1:
        raise InputError(f"A minimum rank of {minimum} leaves no channel: choose 1 or more.")


def _readable(levels: tuple[float, ...]) -> str:
    return ", ".join(f"{level:g}" for level in levels)

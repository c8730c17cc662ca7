"""Every position of the slider: the ranks that lose least of the network's answer in the time that it stands for.

A position of factor f is a time: that of the published level `Relative(f)` on this computer, or of the position above
where that is less. Within it each layer stays whole or is decomposed at any ranks, by its own seconds and errors
(`allocation`). The sum of layers' seconds is near the network's, not equal to it: so whole networks are measured, as
are the published ones, and the budget is corrected until a choice is no slower than the level it takes the place of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .allocation import Curve, allocate, curve
from .budget import Seconds
from .policies import Relative
from .spectra import Values
from .tucker import Convolution, Ranks

RanksByName = Mapping[str, Ranks]
Measure = Callable[[Sequence[RanksByName]], Sequence[float]]
"""Seconds that whole networks take at these ranks, measured in turns, so that they can be compared."""

_ROUNDS = 3
"""Rounds in which whole networks are measured, at most."""
_ROOM = 0.01
"""The share of a budget that is left free, as times differ from one measurement to the next."""
_WORTH = 0.08
"""The share of a budget that has to be left over for another round to be worth its while."""


@dataclass(frozen=True)
class Position:
    """What runs at a factor: `ranks` of the decomposed layers, `seconds` a patch as measured, and its predicted error.

    `limit` is what the published level took, or the position above; `error` is the sum of the layers' own.
    """

    factor: float
    ranks: RanksByName
    seconds: float
    limit: float
    error: float


class Choice:
    """The layers of a network with what they take and lose at any ranks.

    Args:
        layers: by name.
        seconds: of each layer, for one patch.
        errors: (O, I) of each layer; one that is missing here stays whole.
    """

    def __init__(
        self, layers: Mapping[str, Convolution], seconds: Mapping[str, Seconds], errors: Mapping[str, Values]
    ) -> None:
        self._seconds, self._errors = seconds, errors
        self._curves = {name: self._curve(name) for name in layers}

    def within(self, budget: float) -> dict[str, Ranks]:
        """Ranks that together take at most `budget` seconds and lose the least; the fastest where none do."""
        chosen = allocate(self._curves, budget)
        ranks = {name: self._curves[name].ranks[index] for name, index in chosen.items()}
        return {name: pair for name, pair in ranks.items() if pair is not None}

    def seconds(self, ranks: RanksByName) -> float:
        """The sum of the layers' own."""
        return float(sum(self._of_layer(name, ranks.get(name)) for name in self._curves))

    def error(self, ranks: RanksByName) -> float:
        """The sum of the layers' own."""
        return float(sum(self._errors[name][pair.out - 1, pair.into - 1] for name, pair in ranks.items()))

    def _of_layer(self, name: str, pair: Ranks | None) -> float:
        taken = self._seconds[name]
        return taken.dense if pair is None else float(taken.decomposed[pair.out - 1, pair.into - 1])

    def _curve(self, name: str) -> Curve:
        taken = self._seconds[name]
        if name not in self._errors:
            return curve(taken.decomposed[:0, :0], taken.decomposed[:0, :0], taken.dense)
        return curve(taken.decomposed, self._errors[name], taken.dense)


def frontier(
    layers: Mapping[str, Convolution],
    seconds: Mapping[str, Seconds],
    errors: Mapping[str, Values],
    factors: Sequence[float],
    measure: Measure,
    minimum: int = 8,
) -> list[Position]:
    """The original network's position, then one for each of `factors` below 1, from the largest.

    None is slower than the one before it.
    Where nothing that loses less is as fast as the published level, that level's ranks are the position's.
    """
    choice = Choice(layers, seconds, errors)
    factors = sorted((factor for factor in factors if factor < 1), reverse=True)
    published = {factor: Relative(factor, minimum).choose(layers) for factor in factors}
    taken = dict(zip((1.0, *factors), measure([{}, *published.values()]), strict=True))
    limits = _limits(taken)
    known = [_Known({}, taken[1.0], 0.0)]
    known += [_Known(ranks, taken[factor], choice.error(ranks)) for factor, ranks in published.items()]
    # The layers' sums are in proportion to whole networks' times, nearly the same at all ranks.
    scales = {factor: choice.seconds(published[factor]) / taken[factor] for factor in factors}
    open_ones = factors
    for _ in range(_ROUNDS):
        tried = {factor: choice.within(limits[factor] * scales[factor] * (1 - _ROOM)) for factor in open_ones}
        for (factor, ranks), found in zip(tried.items(), measure(list(tried.values())), strict=True):
            scales[factor] = choice.seconds(ranks) / found
            known.append(_Known(ranks, found, choice.error(ranks)))
        open_ones = [factor for factor in open_ones if _is_open(_best(known, limits[factor]), limits[factor])]
        if not open_ones:
            break
    return _positions(known, limits)


@dataclass(frozen=True)
class _Known:
    """Ranks whose network was measured."""

    ranks: RanksByName
    seconds: float
    error: float


def _best(known: Sequence[_Known], limit: float) -> _Known:
    """What loses least of all that is as fast; there is always the published level, or the one above."""
    return min((one for one in known if one.seconds <= limit), key=lambda one: (one.error, one.seconds))


def _is_open(best: _Known, limit: float) -> bool:
    """Whether something better may be found."""
    return best.error > 0 and best.seconds < (1 - _WORTH) * limit


def _positions(known: Sequence[_Known], limits: Mapping[float, float]) -> list[Position]:
    """The best within each limit, and within what the position above it takes."""
    found: list[Position] = []
    most = float("inf")
    for factor, limit in limits.items():
        best = _best(known, min(limit, most))
        most = best.seconds
        found.append(Position(factor, best.ranks, best.seconds, limit, best.error))
    return found


def _limits(taken: Mapping[float, float]) -> dict[float, float]:
    """What each factor may take: no more than the one above."""
    limits, least = {}, float("inf")
    for factor in sorted(taken, reverse=True):
        least = min(least, taken[factor])
        limits[factor] = least
    return limits

"""Every position of the slider: the ranks that lose least of the network's answer in the time that it stands for.

A position of factor f is a time: that of the published level `Relative(f)` on this computer, or of the position above
where that is less. Within it each layer stays whole or is decomposed at any ranks, by its own seconds and errors
(`allocation`). The sum of layers' seconds is near the network's, not equal to it: so whole networks are measured, as
are the published ones, for budgets from one end of the slider to the other, and each position takes the best of them
that is as fast as it has to be.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .allocation import Curve, allocate, curve
from .budget import Seconds
from .policies import Relative
from .spectra import Values
from .tucker import Convolution, Ranks

RanksByName = Mapping[str, Ranks]


def digest_of(ranks: RanksByName) -> str:
    """A name for a choice of ranks."""
    return hashlib.sha256(json.dumps(ranks, sort_keys=True).encode()).hexdigest()[:16]


Measure = Callable[[Sequence[RanksByName]], Sequence[float]]
"""Seconds that whole networks take at these ranks, measured in turns, so that they can be compared."""

_APART = 1.12
"""The first budgets lie this factor apart, from the slowest published level's seconds to less than the fastest's."""
_ROOMS = (0.01, 0.04)
"""The share of a limit that is left free in each of the rounds that follow, as times differ from one to the next."""
_WORTH = 0.05
"""The share of a limit that has to be left over for another round to be worth its while."""
_AT_ONCE = 6
"""Networks that are measured in turns, besides those that they are compared with: all of them need memory."""


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


@dataclass(frozen=True)
class Trained:
    """Ranks whose level was trained after it had been made, and the share of its error that is left."""

    ranks: RanksByName
    left: float


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
    trained: Sequence[Trained] = (),
) -> list[Position]:
    """The original network's position, then one for each of `factors` below 1, from the largest.

    None is slower than the one before it.
    Where nothing that loses less is as fast as the published level, that level's ranks are the position's.
    """
    choice = Choice(layers, seconds, errors)
    factors = sorted((factor for factor in factors if factor < 1), reverse=True)
    published = {factor: Relative(factor, minimum).choose(layers) for factor in factors}
    at_once = measure([{}, *published.values(), *(one.ranks for one in trained)])
    taken = dict(zip((1.0, *factors), at_once, strict=False))
    limits = _limits(taken)
    known = [_Known({}, taken[1.0], 0.0)]
    known += [_Known(ranks, taken[factor], choice.error(ranks)) for factor, ranks in published.items()]
    known += [
        _Known(one.ranks, found, choice.error(one.ranks) * one.left)
        for one, found in zip(trained, at_once[len(taken) :], strict=True)
    ]
    ends = factors[:: max(1, len(factors) - 1)]
    measure_again = _as_before(measure, [published[end] for end in ends], [taken[end] for end in ends])
    found = _search(choice, {factor: limits[factor] for factor in factors}, measure_again, known)
    return _positions([*known, *_confirmed(known, found, limits, measure_again)], limits)


def _search(
    choice: Choice, limits: Mapping[float, float], measure: Measure, known: Sequence["_Known"]
) -> list["_Known"]:
    """The best choices for budgets from end to end, then for limits that what is `known` does not use up.

    Whatever was measured for one limit may be the best for another: chance in one measurement then costs little.
    """
    found = _tried(choice, _grid(limits), measure, known)
    for room in _ROOMS:
        together = [*known, *found]
        budgets = [limit * (1 - room) for limit in limits.values() if _is_open(together, limit)]
        found += _tried(choice, budgets, measure, together)
    return found


def _confirmed(
    known: Sequence["_Known"], found: Sequence["_Known"], limits: Mapping[float, float], measure: Measure
) -> list["_Known"]:
    """`found` with the longer time of two where a position would have it: the best of many is often a lucky time."""
    by_name = {one.name: one for one in found}
    while doubted := _doubted(known, list(by_name.values()), limits):
        for one, seconds in zip(doubted, measure([one.ranks for one in doubted]), strict=True):
            by_name[one.name] = replace(one, seconds=max(one.seconds, seconds), is_confirmed=True)
    return list(by_name.values())


def _doubted(known: Sequence["_Known"], found: Sequence["_Known"], limits: Mapping[float, float]) -> list["_Known"]:
    """Those of `found` that positions would have and that were measured once."""
    chosen = {digest_of(position.ranks) for position in _positions([*known, *found], limits)}
    return [one for one in found if one.name in chosen and not one.is_confirmed]


def _grid(limits: Mapping[float, float]) -> list[float]:
    """Seconds from the largest of the limits to below the smallest."""
    most, least = max(limits.values(), default=0.0), min(limits.values(), default=0.0)
    count = 2 + int(math.log(most / least) / math.log(_APART)) if least else 0
    return [most / _APART**number for number in range(count)]


def _tried(choice: Choice, budgets: Sequence[float], measure: Measure, known: Sequence["_Known"]) -> list["_Known"]:
    """The best choices of layers for these seconds of the whole network that are not `known` yet."""
    seen = {one.name for one in known}
    tried = {digest_of(ranks): ranks for ranks in (choice.within(_sum_at(choice, known, one)) for one in budgets)}
    new = [ranks for name, ranks in tried.items() if name not in seen]
    return [_Known(ranks, taken, choice.error(ranks)) for ranks, taken in zip(new, measure(new), strict=True)]


def _sum_at(choice: Choice, known: Sequence["_Known"], seconds: float) -> float:
    """What the layers' own seconds come to where the whole network takes `seconds`, by networks that were measured.

    The one is in proportion to the other, nearly the same at all ranks.
    """
    in_order = sorted(known, key=lambda one: one.seconds)
    scales = [choice.seconds(one.ranks) / one.seconds for one in in_order]
    return seconds * float(np.interp(seconds, [one.seconds for one in in_order], scales))


def _as_before(measure: Measure, references: Sequence[RanksByName], taken: Sequence[float]) -> Measure:
    """Measures together with networks that took as long before, as a computer is busier at some times than at others.

    The seconds are those that the computer would have needed at the time of the references' own.
    """

    def measured(ranks: Sequence[RanksByName]) -> list[float]:
        found: list[float] = []
        for start in range(0, len(ranks), _AT_ONCE):
            few = ranks[start : start + _AT_ONCE]
            together = measure([*few, *references])
            busier = sum(now / before for now, before in zip(together[len(few) :], taken, strict=True)) / len(taken)
            found += [one / busier for one in together[: len(few)]]
        return found

    return measured


@dataclass(frozen=True)
class _Known:
    """Ranks whose network was measured, once or again."""

    ranks: RanksByName
    seconds: float
    error: float
    is_confirmed: bool = False

    @cached_property
    def name(self) -> str:
        return digest_of(self.ranks)


def _best(known: Sequence[_Known], limit: float) -> _Known:
    """What loses least of all that is as fast; there is always the published level, or the one above."""
    return min((one for one in _merged(known) if one.seconds <= limit), key=lambda one: (one.error, one.seconds))


def _merged(known: Sequence[_Known]) -> list[_Known]:
    """Each choice of ranks once, with the least that it was seen to take and to lose."""
    found: dict[str, _Known] = {}
    for one in known:
        other = found.get(one.name, one)
        found[one.name] = _Known(one.ranks, min(one.seconds, other.seconds), min(one.error, other.error))
    return list(found.values())


def _is_open(known: Sequence[_Known], limit: float) -> bool:
    """Whether something better may be found, as much of the time is left."""
    best = _best(known, limit)
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

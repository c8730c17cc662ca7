"""Which ranks lose the least of a whole network within a budget.

Each layer offers points: its ranks, what they cost and what error they lead to. The sum of the errors is minimised
while the sum of the costs is bounded. The Lagrangian relaxation of this is solved by walking the lower convex hulls of
all layers in the order of their slopes (Shoham and Gersho, IEEE Trans. ASSP 36, 1988); what is left of the budget is
then spent on points off the hulls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .tucker import Ranks

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The points of one layer that no other point beats: `costs` ascend and `errors` descend.

    `ranks` is None where the layer stays as it is.
    """

    costs: Values
    errors: Values
    ranks: Sequence[Ranks | None]


def curve(costs: Values, errors: Values, dense: float) -> Curve:
    """The curve of a layer from the cost and error at each pair of ranks, (O, I), and its cost as it is."""
    flat = np.append(costs.ravel(), dense), np.append(errors.ravel(), 0.0)
    order = np.lexsort((flat[1], flat[0]))
    lowest = np.minimum.accumulate(flat[1][order])
    better = order[np.append(True, lowest[1:] < lowest[:-1])]
    return Curve(flat[0][better], flat[1][better], [_pair(int(index), costs.shape) for index in better])


def _pair(index: int, shape: tuple[int, ...]) -> Ranks | None:
    """The ranks at a flat index; the one after the last is the layer as it is."""
    return Ranks(index // shape[1] + 1, index % shape[1] + 1) if index < shape[0] * shape[1] else None


def allocate(curves: Mapping[str, Curve], budget: float) -> dict[str, int]:
    """The point of each curve, by its index, that together cost at most `budget` and lose the least.

    Where even the cheapest points cost more than the budget, those are the answer.
    """
    chosen = dict.fromkeys(curves, 0)
    left = budget - sum(curve.costs[0] for curve in curves.values())
    exchanges = sorted(
        (exchange for name, curve in curves.items() for exchange in _exchanges(name, curve)), key=lambda one: one[:2]
    )
    stopped = set()
    for _, name, start, end in exchanges:
        cost = curves[name].costs[end] - curves[name].costs[start]
        if name in stopped or cost > left:
            stopped.add(name)  # the exchanges of a layer come one after the other
            continue
        chosen[name], left = end, left - cost
    return _filled(curves, chosen, left)


def total(values: Mapping[str, Values], chosen: Mapping[str, int]) -> float:
    """The sum of the chosen points' costs or errors."""
    return float(sum(values[name][index] for name, index in chosen.items()))


def _exchanges(name: str, points: Curve) -> list[tuple[float, str, int, int]]:
    """(slope, layer, from, to) along the lower convex hull; the slopes ascend."""
    hull: list[int] = []
    for index in range(len(points.costs)):
        while len(hull) > 1 and _slope(points, hull[-2], hull[-1]) >= _slope(points, hull[-1], index):
            hull.pop()
        hull.append(index)
    return [(_slope(points, a, b), name, a, b) for a, b in pairwise(hull)]


def _slope(points: Curve, start: int, end: int) -> float:
    return float((points.errors[end] - points.errors[start]) / (points.costs[end] - points.costs[start]))


def _filled(curves: Mapping[str, Curve], chosen: dict[str, int], left: float) -> dict[str, int]:
    """What the hulls leave of the budget, spent on the exchange that gains most, until none is affordable."""
    while True:
        ends = {n: int(np.searchsorted(c.costs, c.costs[chosen[n]] + left, "right")) - 1 for n, c in curves.items()}
        gains = {n: c.errors[chosen[n]] - c.errors[max(ends[n], chosen[n])] for n, c in curves.items()}
        best = max(gains, key=lambda name: gains[name], default=None)
        if best is None or gains[best] <= 0:
            return chosen
        left -= curves[best].costs[ends[best]] - curves[best].costs[chosen[best]]
        chosen[best] = ends[best]

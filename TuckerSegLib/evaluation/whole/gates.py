"""The two gates: which level is the fastest that keeps 99 %, or 99.9 %, of the original's accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

from .rows import GATES, Row


@dataclass(frozen=True)
class Gate:
    """The fastest level, from file to file, that reaches a gate; the original network always does."""

    share: float
    factor: float
    reached: float
    times_faster: float

    def __str__(self) -> str:
        level = "the original network" if self.factor == 1 else f"factor {self.factor:g}"
        return (
            f"With {100 * self.share:g} % of the original's accuracy: {level}, {self.times_faster:.1f} times faster "
            f"than the stock program, with {self.reached:.1%}."
        )


def gates(rows: Sequence[Row]) -> list[Gate]:
    """For each of `GATES`; none where a part is missing."""
    found = []
    for share in GATES:
        able = [(faster, factor, kept) for factor, faster, kept in trade_off(rows) if kept >= share]
        if able:
            faster, factor, kept = max(able, key=lambda level: level[0])
            found.append(Gate(share, factor, kept, faster))
    return found


def trade_off(rows: Sequence[Row]) -> list[tuple[float, float, float]]:
    """Factor, times faster from file to file, and share of the original's accuracy, of each level with both."""
    faster = {row.factor: row.times_faster for row in rows if row.part == "file to file" and row.times_faster}
    kept = {row.factor: row.share for row in rows if row.part == "accuracy" and row.share is not None}
    return [(factor, faster[factor] or 0.0, kept[factor] or 0.0) for factor in faster if factor and factor in kept]

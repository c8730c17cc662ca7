"""One row of the benchmark: what was run, how long it took, and what of the original's accuracy is left."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..accuracy.outcomes import Study
from ..speed.file_to_file import Measured
from ..speed.one_patch import Comparison

GATES = (0.99, 0.999)
"""Shares of the original's accuracy that a level has to keep, as benchmarks of the field ask (MLPerf Inference)."""


@dataclass(frozen=True)
class Row:
    """One program, at one level if it has some, in one part of the benchmark; what a part does not measure is None.

    Attributes:
        part: "one patch", "file to file" or "accuracy".
        factor: the slider's position; 1 is the original network, None where a program runs nothing else.
        times_faster: than the first row of the part, of medians.
        peak_memory: bytes.
        agreement: mean Dice with what the stock program, or the original network, found.
        dice: the mean with the truth over structures, each over the cases that show it.
        share: that Dice as a share of the original's.
    """

    part: str
    program: str
    factor: float | None
    engine: str = ""
    parameters: int | None = None
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    runs: int | None = None
    times_faster: float | None = None
    peak_memory: int | None = None
    agreement: float | None = None
    dice: float | None = None
    share: float | None = None
    cases: int | None = None

    @property
    def passed(self) -> list[float]:
        """The gates that it reaches; none where accuracy was not measured."""
        return [gate for gate in GATES if self.share is not None and self.share >= gate]


def of_one_patch(found: Comparison) -> Iterator[Row]:
    """The stock network first, then other programs with it, then the levels."""
    for one in (found.stock, *found.others, *found.levels):
        yield Row(
            "one patch",
            one.program,
            one.factor,
            one.facts.get("engine", ""),
            one.facts.get("parameters"),
            **_times(one.seconds, found.stock.seconds),
        )


def of_files(found: Sequence[Measured]) -> Iterator[Row]:
    """The stock program first."""
    for one in found:
        times = _times(one.seconds, found[0].seconds)
        yield Row(
            "file to file", one.program, one.factor, one.engine, **times, peak_memory=one.peak, agreement=one.dice
        )


def of_study(study: Study) -> Iterator[Row]:
    """The original first."""
    original = study.outcomes[0].mean_dice
    for one in study.outcomes:
        yield Row(
            "accuracy",
            "TuckerSeg",
            one.candidate.factor,
            parameters=one.parameters,
            agreement=one.agreement,
            dice=one.mean_dice,
            share=one.mean_dice / original if original else None,
            cases=len(study.cases),
        )


def _times(seconds: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    spread = {"fastest": min(seconds), "slowest": max(seconds), "runs": len(seconds)}
    return {"seconds": median, **spread, "times_faster": statistics.median(reference) / median}

"""A study as a picture for documents: Dice of every network against its parameters and its seconds."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures import COLOURS, plot
from .outcomes import Outcome, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = "osD^vPX"


def draw(study: Study, path: Path) -> None:
    """Mean Dice, a line for each policy, the original's Dice dashed; PNG or SVG.

    Raises:
        OutputError: the file has another suffix or cannot be written, or matplotlib is missing.
    """
    cases = len(study.cases)
    with plot(path, width=10, height=4.6, panels=2) as (left, right):
        _panel(left, study, lambda outcome: outcome.parameters)
        left.set(xscale="log", xlabel="parameters", ylabel=f"mean Dice with the truth, {cases} cases")
        _factors(left, study)
        _panel(right, study, lambda outcome: outcome.seconds / cases)
        right.set(xlabel="seconds a case", xlim=(0, None))
        right.legend(loc="center left", fontsize=9)


def _panel(axis: "Axes", study: Study, across: Callable[[Outcome], float]) -> None:
    original, *others = study.outcomes
    axis.axhline(original.mean_dice, color="0.3", linestyle="--", label=f"original, {original.mean_dice:.3f}")
    for number, name in enumerate(dict.fromkeys(outcome.candidate.name for outcome in others)):
        mine = [(across(o), o.mean_dice) for o in others if o.candidate.name == name and math.isfinite(o.mean_dice)]
        colour, mark = COLOURS[number % len(COLOURS)], _MARKS[number % len(_MARKS)]
        axis.plot(*zip(*sorted(mine), strict=True), color=colour, marker=mark, markersize=6, linewidth=1.4, label=name)
    axis.set_ylim(0, 1)
    axis.grid(visible=True, alpha=0.3)


def _factors(axis: "Axes", study: Study) -> None:
    """Factors above the panel, where their parameters are, which policies share."""
    known = {o.candidate.factor: o.parameters for o in study.outcomes if o.candidate.factor not in (None, 1.0)}
    above = axis.secondary_xaxis("top")
    above.set_xticks(list(known.values()), [f"{factor:g}" for factor in known])
    above.minorticks_off()
    above.set_xlabel("factor")

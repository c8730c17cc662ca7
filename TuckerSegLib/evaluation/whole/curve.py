"""The trade-off as a picture: how much of the original's accuracy each level keeps, against how much faster it is."""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..figures import COLOURS, plot
from .gates import trade_off
from .rows import GATES, Row

_log = logging.getLogger(__name__)


def draw(rows: Sequence[Row], path: Path) -> None:
    """A PNG or SVG; nothing but a warning where matplotlib is missing.

    Raises:
        OutputError: the file has another suffix or cannot be written.
    """
    if find_spec("matplotlib") is None:
        _log.warning("The trade-off was not drawn: install matplotlib for that.")
        return
    points = trade_off(rows)
    with plot(path, width=6.8, height=4.4) as (axis,):
        for gate, style in zip(GATES, ("--", ":"), strict=True):
            axis.axhline(
                100 * gate, color="0.5", linestyle=style, linewidth=1, label=f"{100 * gate:g} % of the original's"
            )
        faster, kept = [point[1] for point in points], [100 * point[2] for point in points]
        axis.plot(faster, kept, "o-", color=COLOURS[0], label="TuckerSeg")
        axis.plot([1], [100], "s", color="0.3", label=_stock(rows))
        for factor, across, share in points:
            axis.annotate(f"{factor:g}", (across, 100 * share), textcoords="offset points", xytext=(6, 6), fontsize=9)
        axis.set(xlabel="times faster, from file to file", ylabel="% of the original network's Dice", xlim=(0, None))
        axis.grid(visible=True, alpha=0.3)
        axis.legend(loc="best", fontsize=9)


def _stock(rows: Sequence[Row]) -> str:
    return next(row.program for row in rows if row.part == "file to file")

"""Small plots as SVG, drawn into the page: how values are spread."""

import math
from collections.abc import Sequence

import numpy as np

from ...evaluation.figures import COLOURS

_WIDTH, _ROW = 360, 22

_FACTOR = 8.0
"""A row reaches from the median over this to the median times this."""

_PLOT_WIDTH, _PLOT_HEIGHT, _LEFT, _BOTTOM, _TOP = 420, 190, 40, 36, 10

_MOST_BARS = 24


def spread(values: Sequence[float], unusual: Sequence[float]) -> str:
    """A row on a logarithmic axis around the median: quartiles as a box, 5th to 95th percentile, unusual values."""
    five, lower, middle, upper, ninety_five = np.percentile(values, (5, 25, 50, 75, 95))

    def x(value: float) -> float:
        place = math.log(max(value, 1e-9) / middle) / math.log(_FACTOR)
        return _WIDTH * (0.5 + 0.48 * max(-1.0, min(1.0, place)))

    half, blue, red = _ROW / 2, COLOURS[0], COLOURS[1]
    width = max(x(upper) - x(lower), 1.5)
    parts = [
        f"<svg viewBox='0 0 {_WIDTH} {_ROW}' width='{_WIDTH}' height='{_ROW}' role='img'>",
        *(f"<path d='M{x(middle * at):.1f} 0V{_ROW}' stroke='#ececec'/>" for at in (0.25, 0.5, 2, 4)),
        f"<path d='M{x(five):.1f} {half}H{x(ninety_five):.1f}' stroke='{blue}'/>",
        f"<rect x='{x(lower):.1f}' y='{half - 5}' width='{width:.1f}' height='10' fill='{blue}' opacity='.45'/>",
        f"<path d='M{x(middle):.1f} {half - 7}V{half + 7}' stroke='{blue}' stroke-width='2'/>",
        *(f"<circle cx='{x(value):.1f}' cy='{half}' r='3' fill='{red}'/>" for value in unusual),
    ]
    return "".join([*parts, "</svg>"])


def scale() -> str:
    """The axis of the rows that `spread` draws."""
    ticks = {0.25: "¼", 0.5: "½", 1.0: "median", 2.0: "2x", 4.0: "4x"}
    parts = [f"<svg viewBox='0 0 {_WIDTH} {_ROW}' width='{_WIDTH}' height='{_ROW}'>"]
    for at, text in ticks.items():
        place = _WIDTH * (0.5 + 0.48 * math.log(at) / math.log(_FACTOR))
        parts.append(f"<text x='{place:.1f}' y='15' text-anchor='middle'>{text}</text>")
    return "".join([*parts, "</svg>"])


def histogram(values: Sequence[float], label: str) -> str:
    """How many scans have which value; bars as many as few or many values fill (Rice's rule)."""
    bins = min(math.ceil(2 * len(values) ** (1 / 3)), _MOST_BARS)
    counts, edges = np.histogram(values, bins=bins)
    low, high, most = float(edges[0]), float(edges[-1]), max(int(counts.max()), 1)
    across, up = _PLOT_WIDTH - _LEFT - 12, _PLOT_HEIGHT - _BOTTOM - _TOP
    parts = [
        f"<svg viewBox='0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}' width='{_PLOT_WIDTH}' height='{_PLOT_HEIGHT}' role='img'>"
    ]
    for number, count in enumerate(counts):
        left, height = _LEFT + across * number / bins, up * count / most
        place = f"x='{left:.1f}' y='{_TOP + up - height:.1f}' width='{across / bins - 1:.1f}' height='{height:.1f}'"
        parts.append(f"<rect {place} fill='{COLOURS[0]}'/>")
    base = _TOP + up
    parts.append(f"<path d='M{_LEFT} {base}H{_LEFT + across}' stroke='#888'/>")
    parts.append(f"<text x='{_LEFT - 5}' y='{_TOP + 9}' text-anchor='end'>{most}</text>")
    for share in (0.0, 0.5, 1.0):
        value, anchor = low + share * (high - low), {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        place = f"x='{_LEFT + share * across:.1f}' y='{base + 14}' text-anchor='{anchor}'"
        parts.append(f"<text {place}>{value:.3g}</text>")
    middle = f"x='{_LEFT + across / 2:.1f}' y='{_PLOT_HEIGHT - 6}' text-anchor='middle'"
    parts.append(f"<text {middle}>{label}</text>")
    return "".join([*parts, "</svg>"])

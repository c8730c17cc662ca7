"""A study as one page that needs nothing else: what compression costs in accuracy, in plots, tables and words."""

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from ..figures import COLOURS
from .outcomes import EVIDENCE, Outcome, Study
from .statistics import smallest_p
from .tables import columns

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 300, 52, 44, 14, 14

_STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .6em; text-align: right }
td { white-space: nowrap } th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
.plots { display: flex; flex-wrap: wrap; gap: 1em } figure { margin: 0 } figcaption { font-weight: bold }
.wide { overflow-x: auto } .wide table { font-size: 13px } text { font: 12px sans-serif; fill: #333 }
"""


def page(study: Study) -> str:
    """The HTML of a study."""
    parts = [
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{escape(study.model)}: accuracy</title>",
        f"<style>{_STYLE}</style></head><body><h1>{escape(study.model)}: what compression costs in accuracy</h1>",
        _summary(study),
        _plots(study),
        "<h2>Every network</h2>",
        _outcomes(study),
        "<h2>Dice of every structure</h2><p>Mean over the cases that show it. Bold: evidence of a difference to the "
        f"original (corrected p below {EVIDENCE:g}).</p>",
        _structures(study),
        _notes(study),
        "</body></html>",
    ]
    return "\n".join(parts)


def _summary(study: Study) -> str:
    original, *others = study.outcomes
    lines = [
        f"<p>{len(study.cases)} cases were segmented by the original network, which reaches a mean "
        f"Dice of <b>{original.mean_dice:.3f}</b>, and by {len(others)} smaller ones.</p><ul>"
    ]
    best: dict[str, Outcome] = {}
    for outcome in others:
        if original.mean_dice - outcome.mean_dice <= 0.02:
            small = best.get(outcome.candidate.name)
            best[outcome.candidate.name] = outcome if small is None or outcome.size < small.size else small
    for name, outcome in best.items():
        share = outcome.size / original.size
        lines.append(
            f"<li><b>{escape(name)}</b> stays within 0.02 of it down to {share:.0%} of the weights' size "
            f"(Dice {outcome.mean_dice:.3f}).</li>"
        )
    for name in dict.fromkeys(outcome.candidate.name for outcome in others):
        if name not in best:
            lines.append(f"<li><b>{escape(name)}</b> stays within 0.02 of it at no factor that was measured.</li>")
    return "\n".join([*lines, "</ul>"])


def _plots(study: Study) -> str:
    cases = max(len(study.cases), 1)
    drawn = [
        ("Dice by factor", _plot(study, lambda o: o.candidate.factor, "factor: share of channels, or its parameters")),
        ("Dice against size", _plot(study, lambda o: o.size / 1e6, "megabytes of weights", logarithmic=True)),
        ("Dice against time", _plot(study, lambda o: o.seconds / cases, "seconds a case, on this computer")),
    ]
    figures = [f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in drawn]
    return f"<div class='plots'>{''.join(figures)}</div>"


def _plot(study: Study, across: Callable[[Outcome], float | None], label: str, logarithmic: bool = False) -> str:
    """Mean Dice against something, where it is known, a line for each policy; the original's Dice is dashed."""
    values = [value for outcome in study.outcomes if (value := across(outcome)) is not None]
    scale = math.log10 if logarithmic else float
    low, high = (scale(min(values)), scale(max(values))) if logarithmic else (0.0, max(values))
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return _LEFT + (scale(value) - low) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(dice: float) -> float:
        return _HEIGHT - _BOTTOM - dice * (_HEIGHT - _BOTTOM - _TOP)

    parts = [f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}' height='{_HEIGHT}' role='img'>"]
    for tick in np.arange(0, 1.01, 0.2):
        parts.append(f"<path d='M{_LEFT} {y(tick):.1f}H{_WIDTH - _RIGHT}' stroke='#e3e3e3'/>")
        parts.append(f"<text x='{_LEFT - 6}' y='{y(tick) + 4:.1f}' text-anchor='end'>{tick:.1f}</text>")
    for tick in np.linspace(low, high, 5):
        value = float(10**tick if logarithmic else tick)
        place = f"x='{x(value):.1f}' y='{_HEIGHT - _BOTTOM + 16}' text-anchor='middle'"
        parts.append(f"<text {place}>{value:.2g}</text>")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f"<text x='{middle}' y='{_HEIGHT - 8}' text-anchor='middle'>{label}</text>")
    original, names = study.outcomes[0], list(dict.fromkeys(outcome.candidate.name for outcome in study.outcomes))
    whole = f"d='M{_LEFT} {y(original.mean_dice):.1f}H{_WIDTH - _RIGHT}' stroke='{COLOURS[0]}'"
    parts.append(f"<path {whole} stroke-dasharray='5 4'/>")
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        mine = sorted(
            (value, o.mean_dice)
            for o in study.outcomes
            if o.candidate.name == name and (value := across(o)) is not None
        )
        points = [(x(at), y(dice)) for at, dice in mine if math.isfinite(dice)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
        parts += [f"<circle cx='{a:.1f}' cy='{b:.1f}' r='3.5' fill='{colour}'/>" for a, b in points]
    return "".join([*parts, "</svg>", _legend(names)])


def _legend(names: Sequence[str]) -> str:
    marks = [
        f"<span style='color:{COLOURS[number % len(COLOURS)]}'>&#9679;</span> {escape(name)}"
        for number, name in enumerate(names)
    ]
    return f"<div>{' &nbsp; '.join(marks)}</div>"


def _outcomes(study: Study) -> str:
    shown = columns(
        study,
        {"Weights, MB": lambda o: f"{o.size / 1e6:.2f}"},
        {
            "Seconds a case": lambda o: f"{o.seconds / len(study.cases):.1f}",
            "Median effect": lambda o: (
                f"{np.median([d.effect for d in o.differences.values()]):.2f}" if o.differences else ""
            ),
        },
    )
    return _table(list(shown), [[escape(cell(o)) for cell in shown.values()] for o in study.outcomes])


def _structures(study: Study) -> str:
    names = list(study.outcomes[0].differences)
    labels = {name: label for label, name in study.names.items()}
    heads = ["Structure", *(o.candidate.title for o in study.outcomes)]
    rows = [[escape(name), *(_cell(o, name, labels[name]) for o in study.outcomes)] for name in names]
    return f"<div class='wide'>{_table(heads, rows)}</div>"


def _cell(outcome: Outcome, name: str, label: int) -> str:
    """Dice, the darker the lower."""
    values = [score.dice for scored in outcome.scores.values() for score in scored if score.label == label]
    dice = float(np.mean(values))
    shown = f"<b>{dice:.2f}</b>" if outcome.differences[name].corrected < EVIDENCE else f"{dice:.2f}"
    return f"<span style='background:rgba(213,94,0,{0.7 * (1 - dice):.2f});padding:.1em .3em'>{shown}</span>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _expected(study: Study) -> str:
    if study.expected_error is None:
        return ""
    return (
        "<li><b>Expected</b> is the agreement that was measured before, on other images; it is "
        f"{study.expected_error:.3f} off on average.</li>"
    )


def _notes(study: Study) -> str:
    return (
        "<h2>How to read this</h2><ul>"
        "<li><b>Dice</b> is the overlap with the truth, 1 complete, 0 none; <b>NSD 3 mm</b> the share of the surface "
        "within 3 mm of it; <b>agreement</b> is Dice with what the original network gives, which also stands for the "
        "truth where none was named.</li>"
        f"{_expected(study)}"
        "<li>A difference to the original is tested for every structure (Wilcoxon's signed-rank test, paired by case, "
        "Holm's correction). <b>Effect</b> is the rank-biserial correlation: -1 where every case got worse, 0 where "
        "none or as many got better.</li>"
        f"<li>With {len(study.cases)} cases no p is below {smallest_p(len(study.cases)):.2g} before the correction: "
        "<i>no evidence of a difference</i> is no proof that there is none, the less so the fewer the cases.</li></ul>"
    )

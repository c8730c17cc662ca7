"""The rows of a benchmark as Markdown for readers, JSON for programs and CSV for tables."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ...volumes.output import whole_file
from .gates import gates
from .rows import GATES, Row

FILES = ("bench.md", "bench.json", "bench.csv")

_TITLES = {
    "one patch": "One patch through the network",
    "file to file": "A scan from file to file",
    "accuracy": "Accuracy",
}

Surroundings = Mapping[str, str | int | float]


def write(rows: Sequence[Row], around: Surroundings, folder: Path) -> None:
    """The three files of `FILES`, each whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    contents = (markdown(rows, around), json.dumps(as_json(rows, around), indent=2) + "\n", as_csv(rows, around))
    for name, content in zip(FILES, contents, strict=True):
        with whole_file(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")


def as_json(rows: Sequence[Row], around: Surroundings) -> dict[str, object]:
    return {
        "surroundings": dict(around),
        "gates": [asdict(gate) for gate in gates(rows)],
        "rows": [{**asdict(row), "passed": row.passed} for row in rows],
    }


def as_csv(rows: Sequence[Row], around: Surroundings) -> str:
    """A line for each row that says all about itself, so that results of several computers fit below each other."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*(field.name for field in fields(Row)), *(f"passes_{gate:g}" for gate in GATES), *around])
    for row in rows:
        passed = ["" if row.share is None else gate in row.passed for gate in GATES]
        values = ["" if value is None else value for value in asdict(row).values()]
        table.writerow([*values, *passed, *around.values()])
    return text.getvalue()


def markdown(rows: Sequence[Row], around: Surroundings) -> str:
    """A table for each part, the gates, and where it ran."""
    parts = [f"## {title}\n\n{_table(table(rows, part))}" for part, title in _TITLES.items() if _of(rows, part)]
    said = "\n".join(f"- {gate}" for gate in gates(rows))
    where = ", ".join(f"{name} {value}" for name, value in around.items())
    return "\n".join(["# Benchmark\n", *parts, *([said + "\n"] if said else []), where, ""])


def table(rows: Sequence[Row], part: str) -> list[list[str]]:
    """The heading and the rows of one part, without columns that say nothing in it."""
    shown = _of(rows, part)
    columns = [[title, *map(cell, shown)] for title, cell in _COLUMNS.items()]
    return [list(line) for line in zip(*(column for column in columns if any(column[1:])), strict=True)]


def _of(rows: Sequence[Row], part: str) -> list[Row]:
    return [row for row in rows if row.part == part]


def _table(lines: Sequence[Sequence[str]]) -> str:
    heading, *others = (f"| {' | '.join(line)} |\n" for line in lines)
    return "".join([heading, "|" + " --- |" * len(lines[0]) + "\n", *others])


def _gate(row: Row, share: float) -> str:
    return "" if row.share is None else "yes" if share in row.passed else "no"


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "Program": lambda row: row.program,
    "Factor": lambda row: "" if row.factor is None else f"{row.factor:g}",
    "Engine": lambda row: row.engine,
    "Parameters": lambda row: "" if row.parameters is None else f"{row.parameters:,}",
    "Seconds": lambda row: _number(row.seconds, 3),
    "Fastest": lambda row: _number(row.fastest, 3),
    "Slowest": lambda row: _number(row.slowest, 3),
    "Runs": lambda row: str(row.runs or ""),
    "Times faster": lambda row: _number(row.times_faster, 2),
    "Peak memory": lambda row: "" if row.peak_memory is None else f"{row.peak_memory / 1e9:.2f} GB",
    "Agreement": lambda row: _number(row.agreement, 3),
    "Dice": lambda row: _number(row.dice, 3),
    "Cases": lambda row: str(row.cases or ""),
    "Of the original's": lambda row: "" if row.share is None else f"{row.share:.1%}",
    **{f"{100 * gate:g} %": lambda row, gate=gate: _gate(row, gate) for gate in GATES},  # type: ignore[misc]
}


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

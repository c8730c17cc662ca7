"""A study's results as tables and files."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from ...volumes.output import whole_file
from .outcomes import Outcome, Study

Columns = dict[str, Callable[[Outcome], str]]
"""What a column shows of an outcome, under the column's heading."""


def columns(study: Study, weights: Columns, further: Columns | None = None) -> Columns:
    """What a table of a study shows of each outcome: `weights` shows their size, `further` comes near the end."""
    expected: Columns = {"Expected": lambda o: "" if o.expected is None else f"{o.expected:.3f}"}
    return {
        "Policy": lambda o: o.candidate.name,
        "Factor": lambda o: "" if o.candidate.factor is None else f"{o.candidate.factor:g}",
        "Parameters": lambda o: f"{o.parameters:,}",
        **weights,
        "Dice": lambda o: f"{o.mean_dice:.3f}",
        "NSD 3 mm": lambda o: f"{o.mean_surface_dice:.3f}",
        "Agreement": lambda o: f"{o.agreement:.3f}",
        **(expected if study.compared else {}),
        **(further or {}),
        "No evidence of a difference": lambda o: f"{o.without_evidence} of {len(o.differences)}",
    }


def write(study: Study, folder: Path) -> None:
    """`scores.csv`, a row for each structure of each case in each network, and `results.json`, into `folder`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with whole_file(folder / "results.json") as partial:
        partial.write_text(json.dumps(study.as_json(), indent=2) + "\n")
    with whole_file(folder / "scores.csv") as partial, partial.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        rows.writerows(_rows(study))


_COLUMNS = (
    "policy", "factor", "case", "structure", "dice", "surface_dice_3mm", "hausdorff95_mm", "reference_ml", "ml",
)  # fmt: skip


def _rows(study: Study) -> Iterator[tuple[object, ...]]:
    for outcome in study.outcomes:
        for case, scored in outcome.scores.items():
            for score in scored:
                measured = asdict(score)
                name = study.names.get(measured.pop("label"), "")
                yield outcome.candidate.name, outcome.candidate.factor, case, name, *measured.values()

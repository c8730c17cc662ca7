"""Options that several commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="sample, a task of TotalSegmentator's such as total-fast, a trained nnU-Net's folder, a .tuckerseg file.",
    ),
]

Fold = Annotated[list[str] | None, typer.Option("--fold", help="Use this fold only (may be repeated); all otherwise.")]


def folds_of(folds: list[str] | None) -> list[int | str] | None:
    """Folds as the names of their folders give them, numbers or "all"; None for all of a model's."""
    return [int(fold) if fold.isdecimal() else fold for fold in folds] if folds else None

"""Options that several commands share; those of a request are described there."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..segmentation.request import help_of


def of_request(option: str, *flags: str) -> Any:
    """The command's form of an option of `Request`, under these flags."""
    return typer.Option(*flags, help=help_of(option))


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

Model = Annotated[str, of_request("model", "--model", "-m")]

Fold = Annotated[list[str] | None, typer.Option("--fold", help=f"{help_of('folds')} (May be repeated.)")]


def folds_of(names: Sequence[str] | None) -> tuple[int | str, ...]:
    """Folds as models name them: numbers, and words such as "all"."""
    return tuple(int(name) if name.isdecimal() else name for name in names or ())

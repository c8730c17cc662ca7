"""What scripts ask for, in the spelling of Slicer's scripts: `exactRanks` is `Request.exact_ranks`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from TuckerSegLib.models.sample import SAMPLE
from TuckerSegLib.segmentation.request import Request


def spelled(field: str) -> str:
    """`exactRanks` for `exact_ranks`."""
    first, *others = field.split("_")
    return first + "".join(part.title() for part in others)


def request_of(options: Mapping[str, Any]) -> Request:
    """The request of a script; what it leaves out is as `Request` has it, and the model is the sample.

    Raises:
        TypeError: there is no such option.
    """
    names = {spelled(field.name): field.name for field in fields(Request)}
    unknown = sorted(set(options) - set(names))
    if unknown:
        raise TypeError(f"There is no option {unknown[0]}: choose among {', '.join(names)}.")
    given = {names[option]: _hashable(value) for option, value in options.items()}
    return Request(**{"model": SAMPLE, **given})


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""What scripts ask for, in the spelling of Slicer's scripts: `exactRanks` is `Request.exact_ranks`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from TuckerSegLib.errors import InputError, suggestion
from TuckerSegLib.segmentation.request import Request


def spelled(field: str) -> str:
    """`exactRanks` for `exact_ranks`."""
    first, *others = field.split("_")
    return first + "".join(part.title() for part in others)


def request_of(options: Mapping[str, Any]) -> Request:
    """The request of a script; what it leaves out is as `Request` has it.

    Raises:
        InputError: there is no such option.
    """
    names = {spelled(field.name): field.name for field in fields(Request)}
    for option in options:
        if option not in names:
            advice = suggestion(option, list(names), f"there are {', '.join(names)}.")
            raise InputError(f"A segmentation has no option {option}: {advice}")
    return Request.of(**{names[option]: value for option, value in options.items()})

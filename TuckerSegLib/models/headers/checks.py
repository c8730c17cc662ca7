"""What values read from JSON have to be, said once and checked whole; free of PyTorch.

A check takes a value and where it stands, and raises `Wrong` for the first thing that is not as it says.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]

_SHOWN = 40
"""Characters of a wrong value that a sentence quotes."""


class Wrong(ValueError):
    """The first thing that is wrong, for the middle of a sentence: where it stands and what it should be."""


def decoded(text: str | bytes) -> Any:
    """What JSON text says.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _wrong(where, value, f"a whole number from {low} to {high}")

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number from `low` to `high`."""

    def check(value: Any, where: str) -> None:
        fits = type(value) in (int, float) and low <= value <= high and abs(value) < math.inf
        if not fits:
            raise _wrong(where, value, "a finite number" if low == -math.inf else f"a number from {low:g} to {high:g}")

    return check


def text(longest: int = 1000) -> Check:
    """Some characters, and no more than `longest`."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise _wrong(where, value, "a text")

    return check


def digits(most: int) -> Check:
    """A whole number below `most`, written out."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not (value.isascii() and value.isdecimal() and int(value[:9]) < most):
            raise _wrong(where, value, f"a number below {most}")

    return check


def one_of(*values: Any) -> Check:
    """One of these very values."""

    def check(value: Any, where: str) -> None:
        if not any(type(value) is type(known) and value == known for known in values):
            raise _wrong(where, value, " or ".join(map(str, values)))

    return check


def listed(each: Check, least: int, most: int) -> Check:
    """A list of `least` to `most` things that `each` is right for."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise _wrong(where, value, f"a list of {least} to {most}")
        for index, one in enumerate(value):
            each(one, f"{where}[{index}]")

    return check


def keyed(each: Check, most: int, key: Check | None = None) -> Check:
    """An object of at most `most` things that `each` is right for, under names that `key` is right for, or any."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            raise _wrong(where, value, f"an object of at most {most}")
        for name, one in value.items():
            (key or text())(name, f"a name in {where}")
            each(one, f"{where}.{name:.{_SHOWN}}")

    return check


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with at least the `required` fields; what is named in neither list may be anything."""
    optional = optional or {}

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object")
        for name, one in (*required.items(), *((name, one) for name, one in optional.items() if name in value)):
            if name not in value:
                raise Wrong(f"{where} lacks {name}")
            one(value[name], f"{where}.{name}")

    return check


def either(*checks: Check) -> Check:
    """What one of the checks is right for; the last one says what is wrong."""

    def check(value: Any, where: str) -> None:
        for one in checks[:-1]:
            try:
                return one(value, where)
            except Wrong:
                continue
        return checks[-1](value, where)

    return check


def _wrong(where: str, value: Any, wanted: str) -> Wrong:
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return Wrong(f"{where} is {shown} where {wanted} belongs")

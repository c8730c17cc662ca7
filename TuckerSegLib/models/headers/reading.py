"""JSON from a model's files, read from ordinary files of an ordinary size and compared with what belongs there."""

import stat
import struct
from pathlib import Path
from typing import Any

from ...errors import ModelError
from .checks import Check, Wrong, decoded

LONGEST = 50_000_000
"""Bytes of JSON; plans and labels of the largest data sets take a hundredth of that."""


def check_ordinary(path: Path) -> Path:
    """`path`, if it is an ordinary file: a pipe would keep a reader waiting, a device may never end.

    Raises:
        ModelError: it is something else.
        OSError: it is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"{path} cannot be read (a pipe, a device, a folder or the like): give an ordinary file.")
    return path


def read_json(path: Path) -> Any:
    """What the JSON in a file says, to be compared with what belongs there.

    Raises:
        ModelError: it is no ordinary file.
        OSError: it cannot be read.
        ValueError: it is no JSON, or far more than a model's files hold.
    """
    if check_ordinary(path).stat().st_size > LONGEST:
        raise ValueError("far too long")
    return decoded(path.read_text(encoding="utf-8"))


def read_header(path: Path) -> dict[str, Any]:
    """What a compressed model says of itself: an object within the metadata of safetensors' format.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with check_ordinary(path).open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > LONGEST:
                raise ValueError("far too long")
            header = decoded(decoded(file.read(size))["__metadata__"]["header"])
            if not isinstance(header, dict):
                raise ValueError("no object")
            return header
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelError(f"{path} is no compressed model, or is damaged: make or download it again.") from error


def compare(content: Any, check: Check, what: str, sentence: str) -> None:
    """
    Args:
        content: decoded JSON, called `what` in the sentence.
        check: what it has to be.
        sentence: what is said where it is not, with {} for the first thing that is wrong.

    Raises:
        ModelError: it is not.
    """
    try:
        check(content, what)
    except Wrong as error:
        raise ModelError(sentence.format(error)) from None

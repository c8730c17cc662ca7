"""What a model finds, read from its folder or file without opening it; free of PyTorch."""

import json
import struct
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .sample import SAMPLE, sample_model_folder
from .totalsegmentator.tasks import task, task_names

SUFFIX = ".tuckerseg"
"""The suffix of compressed models."""

_LONGEST_HEADER = 100_000_000
"""Bytes; what claims to be longer is no file of safetensors' format."""


def structures_of(which: str | Path) -> list[str]:
    """The structures of the model that `open_model` takes, or of a task, in label order.

    Raises:
        ModelError: there is no such model, or its files cannot be read.
    """
    if str(which) in task_names():
        return list(task(str(which)).found.values())
    path = sample_model_folder() if which == SAMPLE else Path(which).expanduser()
    try:
        labels = {name: _last(label) for name, label in _dataset(path).get("labels", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelError(f"{path} is no model whose structures could be read: choose another one.") from error
    return sorted((name for name in labels if name not in ("background", "ignore")), key=lambda name: labels[name])


def is_compressed(which: str | Path) -> bool:
    """Whether the model is a compressed file, which is at one level alone."""
    return str(which).endswith(SUFFIX)


def _dataset(path: Path) -> dict[str, Any]:
    if path.suffix != SUFFIX:
        found = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    else:
        found = json.loads(_safetensors_header(path)["__metadata__"]["header"])["dataset"]
    if not isinstance(found, dict):
        raise ValueError("no dataset")
    return found


def _safetensors_header(path: Path) -> dict[str, dict[str, str]]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > _LONGEST_HEADER:
            raise ValueError("no safetensors file")
        header: dict[str, dict[str, str]] = json.loads(file.read(size))
    return header


def _last(label: int | list[int]) -> int:
    """A region of several labels comes where the last of them does."""
    return label if isinstance(label, int) else max(label, default=0)

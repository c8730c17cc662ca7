"""What a model finds, read from its folder or file without opening it; free of PyTorch."""

from pathlib import Path
from typing import Any

from ..errors import ModelError
from .headers.reading import compare, read_header, read_json
from .headers.schema import DATASET
from .sample import sample_model_folder, sample_names
from .totalsegmentator.tasks import task, task_names

SUFFIX = ".tuckerseg"
"""The suffix of compressed models."""


def structures_of(which: str | Path) -> list[str]:
    """The structures of the model that `open_model` takes, or of a task, in label order.

    Raises:
        ModelError: there is no such model, or its files cannot be read.
    """
    if str(which) in task_names():
        return list(task(str(which)).found.values())
    path = _path(which)
    try:
        labels = {name: _last(label) for name, label in _dataset(path)["labels"].items()}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is no model whose structures could be read: choose another one.") from error
    return sorted((name for name in labels if name not in ("background", "ignore")), key=lambda name: labels[name])


def modality_of(which: str | Path) -> str | None:
    """ "CT" or "MR", which the model at `which` was made for; None where its files do not say."""
    if str(which) in task_names():
        return task(str(which)).modality
    try:
        told = _dataset(_path(which))
        names = told.get("channel_names") or told.get("modality") or {}
        first = str(names.get("0")).upper()
    except (OSError, ValueError, ModelError):
        return None
    return "CT" if first == "CT" else "MR" if first.startswith(("MR", "T1", "T2", "FLAIR")) else None


def is_compressed(which: str | Path) -> bool:
    """Whether the model is a compressed file, which is at one level alone."""
    return str(which).endswith(SUFFIX)


def _path(which: str | Path) -> Path:
    return sample_model_folder(str(which)) if str(which) in sample_names() else Path(which).expanduser()


def _dataset(path: Path) -> dict[str, Any]:
    found = read_header(path).get("dataset") if is_compressed(path) else read_json(path / "dataset.json")
    compare(found, DATASET, "dataset", f"{path} is no model whose structures could be read ({{}}): choose another one.")
    assert isinstance(found, dict)
    return found


def _last(label: int | list[int]) -> int:
    """A region of several labels comes where the last of them does."""
    return label if isinstance(label, int) else max(label, default=0)

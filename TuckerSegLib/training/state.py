"""An interrupted training on disk: tensors and JSON in safetensors' format, so that reading it runs no code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import ModelError
from ..volumes.output import system_errors, whole_file

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class State:
    """Where a training stands after an epoch.

    Attributes:
        origin: names what was trained, on what and how.
        record: everything that JSON can hold.
        groups: the tensors, by "weights", "best" and "optimizer".
    """

    origin: str
    record: dict[str, Any]
    groups: Mapping[str, Tensors]


def save(state: State, path: Path) -> None:
    """Write `state`, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = {
        f"{group}/{n}": t.detach().cpu().contiguous() for group, ts in state.groups.items() for n, t in ts.items()
    }
    metadata = {"origin": state.origin, "record": json.dumps(state.record)}
    with whole_file(path) as partial, system_errors():
        save_file({name: t.clone() for name, t in tensors.items()}, partial, metadata)


def load(path: Path) -> State:
    """What `save` wrote.

    Raises:
        ModelError: the file cannot be read or is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = json.loads(metadata["record"])
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = tensor
        return State(metadata["origin"], record, groups)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no interrupted training, or is damaged: remove it and start anew.") from error

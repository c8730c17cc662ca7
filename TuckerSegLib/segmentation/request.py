"""What can be asked for: the one list of options with their defaults, for every door; free of PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, suggestion


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Request:
    """How to segment; `help_of` describes each option, and lists may be given as any sequence."""

    model: str = _option(
        "sample",
        "sample, a task of TotalSegmentator's such as total-fast, a trained nnU-Net's folder, a .tuckerseg file.",
    )
    factor: float = _option(1.0, "Share of each layer's channels kept, in (0, 1]; 1 is the original.")
    device: str = _option("auto", "auto, cpu, cuda or mps.")
    engine: str = _option("auto", "auto (the fastest on this computer), fused, openvino or torch.")
    structures: Sequence[str] = _option((), "Only these structures, such as liver,spleen; all otherwise.")
    exact_ranks: bool = _option(False, "The published ranks, not those that are fast on this computer.")
    folds: Sequence[int | str] = _option((), "Only these folds of a trained folder; all otherwise.")
    fit_to_scan: bool = _option(False, "Fit the compressed layers to this scan: slower at first, more accurate.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", str(self.model))
        for name in ("structures", "folds"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, (str, int)) else tuple(value))

    @classmethod
    def of(cls, model: str | Path = "sample", **options: Any) -> "Request":
        """A request with these options.

        Raises:
            InputError: there is no option of such a name.
        """
        names = [one.name for one in fields(cls)]
        for name in options:
            if name not in names:
                advice = suggestion(name, names, f"there are {', '.join(names)}.")
                raise InputError(f"A segmentation has no option {name}: {advice}")
        return cls(str(model), **options)


def help_of(option: str) -> str:
    """What an option of `Request` does, in one line."""
    return next(str(one.metadata["help"]) for one in fields(Request) if one.name == option)

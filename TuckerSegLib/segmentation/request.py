"""What can be asked for: the one list of options with their defaults, for every door; free of PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..engines.names import BY_NAME
from ..errors import InputError, suggestion

_MOST_THREADS = 1024


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Request:
    """How to segment; `help_of` describes each option, and lists may be given as any sequence.

    Raises:
        InputError: `at_least` is no agreement, `threads` no number of cores, or `memory` no number of bytes.
    """

    model: str = _option(
        "sample",
        "sample, sample-small, a task of TotalSegmentator's such as total-fast, a trained folder, a .tuckerseg file.",
    )
    factor: float = _option(1.0, "Share of each layer's channels kept, in (0, 1]; 1 is the original.")
    device: str = _option("auto", "auto, cpu, cuda or mps.")
    engine: str = _option("auto", f"auto (the fastest on this computer), {BY_NAME}.")
    structures: Sequence[str] = _option((), "Only these structures, such as liver,spleen; all otherwise.")
    exact_ranks: bool = _option(False, "The published ranks, not those that are fast on this computer.")
    folds: Sequence[int | str] = _option((), "Only these folds of a trained folder; all otherwise.")
    step: float | None = _option(
        None, "Distance between patches as a share of their size; 0.5 otherwise, or what a task prescribes."
    )
    mirroring: bool = _option(True, "Average over mirror images where the model was trained for that, as nnU-Net does.")
    remove_small_blobs: bool = _option(False, "Clear connected parts of a structure below 200 cubic millimetres.")
    fit_to_scan: bool = _option(False, "Fit the compressed layers to this scan: slower at first, more accurate.")
    at_least: float | None = _option(
        None, "Agreement with the original network to reach, such as 0.98: it helps where the level is not good enough."
    )
    threads: int = _option(0, "Cores to take: 0 for all, -1 for all but one where there are more than two.")
    also: Sequence[str] = _option((), "Further models; what they find is drawn over what the first one found.")
    memory: int | None = _option(
        None, "Bytes that a run may take at most; where they are few, a scan's answers wait in a file."
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", str(self.model))
        for name in ("also", "structures", "folds"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, (str, int)) else tuple(value))
        if self.step is not None and not 0 < self.step <= 1:
            raise InputError(f"The step {self.step:g} lies outside (0, 1]: choose a share of a patch's size.")
        if self.at_least is not None and not 0 < self.at_least <= 1:
            raise InputError(f"An agreement of {self.at_least:g} cannot be reached: choose one up to 1, such as 0.98.")
        if not -1 <= self.threads <= _MOST_THREADS:
            raise InputError(
                f"{self.threads} is no number of cores: choose 1 or more, 0 for all or -1 for all but one."
            )

        if self.memory is not None and self.memory <= 0:
            raise InputError(f"{self.memory} bytes of memory are none: allow some, such as 4GB.")

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

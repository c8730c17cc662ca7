"""Which engine runs a network."""

from collections.abc import Sequence

import torch

from ..errors import InputError
from .base import Engine, Source
from .folds import Folds
from .torch import TorchEngine

ENGINES: tuple[Engine, ...] = (TorchEngine(),)
NAMES = ("auto", *(engine.name for engine in ENGINES))


def prepared(folds: Sequence[Source], device: torch.device, engine: str = "auto") -> Folds:
    """A model's folds, prepared by the engine of that name.

    Raises:
        InputError: there is no such engine, or it does not run on `device`.
    """
    if engine not in NAMES:
        raise InputError(f"There is no engine {engine}: choose one of {', '.join(NAMES)}.")
    chosen = next(e for e in ENGINES if engine in ("auto", e.name))
    return Folds([chosen.prepare(fold, device) for fold in folds])

"""The settings of a training: how fast and how long a network learns, and what is frozen."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from torch import nn

from ..decomposition.tucker import TuckerConv
from ..errors import InputError

PARTS = ("cores", "factors", "norms", "others")
"""The parts of a compressed network: cores, the pointwise layers around them, normalisations, and whole layers."""


@dataclass(frozen=True)
class Training:
    """How a network is trained; the defaults are the published ones (Adam, 1e-5, 50 epochs of nnU-Net's length).

    The learning rate falls with the power 0.9 of what is left, of epochs or of minutes, as in nnU-Net.

    Attributes:
        iterations: of an epoch.
        minutes: ends the training earlier than `epochs` would.
        patience: the number of epochs without a lower validation loss after which the training ends.
        freeze: the `PARTS` that are kept as they are.
        temperature: of the answers that a network learns from, where there are no labels.
    """

    learning_rate: float = 1e-5
    epochs: int = 50
    iterations: int = 250
    minutes: float | None = None
    patience: int | None = None
    freeze: tuple[str, ...] = ()
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "iterations", "minutes", "patience", "temperature"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name.replace('_', ' ').capitalize()} {value} is out of range: choose one above 0.")
        unknown = sorted(set(self.freeze) - set(PARTS))
        if unknown:
            raise InputError(f"There is no part {unknown[0]} to freeze: choose from {', '.join(PARTS)}.")
        if set(self.freeze) == set(PARTS):
            raise InputError("With every part frozen there is nothing to train: leave one out.")

    @property
    def fingerprint(self) -> str:
        """Changes with everything that an interrupted training must have in common with the one that continues it."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("epochs", "minutes", "patience")}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


DISTILLATION = Training(learning_rate=3e-3, epochs=100, iterations=100)
"""Without labels the targets are smooth, so that updates can be hundreds of times larger; chosen after short trials."""


def parts(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter once, with the part it belongs to."""
    seen: set[int] = set()
    for part, module in (*_decomposed(network), ("others", network)):
        for parameter in module.parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield part, parameter


def _decomposed(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for module in network.modules():
        if isinstance(module, TuckerConv):
            yield from (("cores", module.core), ("factors", module.first), ("factors", module.last))
        elif "Norm" in type(module).__name__ and next(module.parameters(recurse=False), None) is not None:
            yield "norms", module

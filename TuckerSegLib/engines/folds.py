"""The folds of a model, each prepared by an engine, as the one network that nnU-Net's sliding window runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import Prepared

_FOLD = "fold"


class Folds(nn.Module):
    """nnU-Net loads one state dict a fold into one network; here each of `weights` names a prepared fold instead."""

    def __init__(self, folds: Sequence[Prepared]) -> None:
        super().__init__()
        self.folds = tuple(folds)
        self._current = self.folds[0]

    @property
    def weights(self) -> list[dict[str, Tensor]]:
        return [{_FOLD: torch.tensor(index)} for index in range(len(self.folds))]

    @property
    def engine(self) -> str:
        """The one that ran last, or will run."""
        return self._current.engine

    @property
    def memory(self) -> int:
        return sum(fold.memory for fold in self.folds)

    def forward(self, patches: Tensor) -> Tensor:
        return self._current(patches)

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: Any, **__: Any) -> Any:
        self._current = self.folds[int(state_dict[_FOLD])]

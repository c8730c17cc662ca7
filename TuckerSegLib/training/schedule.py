"""How the learning rate of a training goes down with the time that has passed."""

from collections.abc import Callable

import torch

_POWER = 0.9
"""Of nnU-Net's learning rate schedule."""

_WARM_UP = 50
"""Steps."""


class _Schedule:
    """nnU-Net's polynomial decay, over whatever limits the training; the first steps of all are shorter.

    Adam's first steps have the full length in every direction, whatever the gradient, which would undo the fit that the
    network starts from.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, initial: float, share: Callable[[], float]) -> None:
        self._optimizer, self._initial, self._share = optimizer, initial, share
        self._steps = _WARM_UP

    def step(self, epoch: int) -> None:
        """Before an epoch."""
        self._steps = 0 if epoch == 0 else _WARM_UP
        self._set(self._initial * (1 - self._share()) ** _POWER)

    def warm_up(self) -> None:
        """Before each step."""
        if self._steps < _WARM_UP:
            self._steps += 1
            self._set(self._initial * self._steps / _WARM_UP)

    def _set(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

"""How the learning rate of a training goes down with the time that has passed."""

from collections.abc import Callable

import torch

_POWER = 0.9
"""The exponent of nnU-Net's learning rate schedule."""

_WARM_UP = 50
"""Iterations over which the learning rate rises."""


class Schedule:
    """nnU-Net's polynomial decay, over whatever limits the training, after a short rise.

    Adam's first updates have the full length in every direction, whatever the gradient, which would undo the fit that
    the network starts from.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, initial: float, share: Callable[[], float]) -> None:
        self._optimizer, self._initial, self._share = optimizer, initial, share
        self._iterations = _WARM_UP

    def step(self, epoch: int) -> None:
        """Called before an epoch."""
        self._iterations = 0 if epoch == 0 else _WARM_UP
        self._set(self._initial * (1 - self._share()) ** _POWER)

    def warm_up(self) -> None:
        """Called before each iteration."""
        if self._iterations < _WARM_UP:
            self._iterations += 1
            self._set(self._initial * self._iterations / _WARM_UP)

    def _set(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

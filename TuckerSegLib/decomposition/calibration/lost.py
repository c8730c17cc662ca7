"""What a layer would lose at which ranks: fitted on one half of the patches, tried on the other, at all ranks at once.

With inputs mixed by the nested basis F, ordered by importance, and their taps ordered likewise, the ridge regression
at rank R_in has the leading block of one Gram matrix for its own; and the Cholesky factor of a leading block is the
leading block of the Cholesky factor. So one factorisation serves every R_in. The eigenvectors that the reduced-rank
regression is cut from give the error at every R_out.
"""

import numpy as np
import torch
from torch import Tensor

from ..spectra import Values
from .correction import RIDGE
from .record import falling

_PER_OCTAVE = 2
"""Ranks R_in that are tried; in between, the error is interpolated."""
_TINY = 1e-7


class Half:
    """Weighted second moments of inputs z (rows, D) and outputs y (rows, O) of one half of the patches."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self._zz, self._zy = torch.zeros(inputs, inputs), torch.zeros(inputs, outputs)
        self._yy = torch.zeros(outputs, outputs)
        self._z, self._y, self._weight = torch.zeros(inputs), torch.zeros(outputs), 0.0

    def add(self, z: Tensor, y: Tensor, weights: Tensor) -> None:
        root = weights.sqrt().float()[:, None]
        z, y = z * root, y * root
        self._zz.addmm_(z.T, z)
        self._zy.addmm_(z.T, y)
        self._yy.addmm_(y.T, y)
        self._z += (z * root).sum(0)
        self._y += (y * root).sum(0)
        self._weight += float(weights.sum())

    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        """The covariances of z, between z and y, and of y, in double precision."""
        z, y = self._z.double() / self._weight, self._y.double() / self._weight
        return (
            self._zz.double() / self._weight - torch.outer(z, z),
            self._zy.double() / self._weight - torch.outer(z, y),
            self._yy.double() / self._weight - torch.outer(y, y),
        )


def lost(fitted: Half, tried: Half, prior: Tensor, root: Tensor, voxels: int, channels: int) -> Values:
    """(O, I): the share of what the outputs are worth that is lost at each pair of ranks.

    `prior` (O, R K) is the record's own layer at the highest R that was looked at, with K `voxels` of the kernel, for
    `channels` I of the input; beyond R the share is that at R.
    """
    zz, zy, _ = fitted.covariances()
    pull = RIDGE * float(zz.diagonal().mean()) + 1e-12
    factor = torch.linalg.cholesky(zz + torch.eye(len(zz)) * pull)
    half_solved = torch.linalg.solve_triangular(factor, zy + pull * prior.T, upper=False)
    there = tried.covariances()
    worth = max(float((root @ there[2] @ root.T).trace()), 1e-30)
    ranks = _some_ranks(len(zz) // voxels)
    columns = []
    for rank in ranks:
        size = rank * voxels
        whole = torch.linalg.solve_triangular(factor[:size, :size].T, half_solved[:size], upper=True).T
        answer = root @ whole
        leading = torch.linalg.eigh(answer @ zz[:size, :size] @ answer.T).eigenvectors.flip(1)
        ours = leading.T @ answer
        both = (ours @ there[1][:size] @ root.T * leading.T).sum(1)
        alone = (ours @ there[0][:size, :size] * ours).sum(1)
        columns.append(((2 * both - alone).cumsum(0) / worth).numpy())
    kept = np.stack(columns, 1)
    every = np.arange(1, channels + 1)
    found: Values = 1 - np.stack([np.interp(every, ranks, row) for row in kept])
    return falling(np.clip(found, _TINY, 1 - _TINY))


def _some_ranks(channels: int) -> list[int]:
    ranks = {round(2 ** (step / _PER_OCTAVE)) for step in range(_PER_OCTAVE * channels.bit_length())}
    return sorted({rank for rank in ranks if rank < channels} | {channels})

"""What a layer would lose at which ranks: a fit on one half of the voxels, tried on the other.

For a few ranks R_in the fit of `layer` is made once, without its rounds; the eigenvectors that its reduced-rank
regression is cut from give the error at every R_out. Between the few ranks the error is interpolated.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..spectra import Values, spectral_errors
from ..tucker import Convolution, kernel_of
from .kernel_inputs import kernel_inputs, knows_inputs, some_voxels
from .layer import Fit, Seen, covariance_of, mean_of, projected, ridge_regression, samples, subspace

_SHARE = 2
"""One in so many of the voxels that a layer is fitted on is looked at."""

_PER_OCTAVE = 2
"""Ranks R_in that are tried between one and its double."""


def predicted_errors(conv: Convolution, x: Tensor, seen: Seen, fit: Fit) -> Values:
    """(O, I): the ratio of what is lost to what is kept at each pair of ranks, times how much the output matters.

    `x` (N, I, *spatial) is the layer's input in the original network. The normalisation after a layer scales what is
    kept up again, error and all, so that a lost share e counts as e / (1 - e).
    """
    weight = float((seen.root @ covariance_of(seen.output) @ seen.root.T).trace())
    if not knows_inputs(conv):
        return weight * spectral_errors(conv)
    lost = np.clip(_lost(conv, x, seen, fit), 1e-6, 1 - 1e-6)
    lost = np.minimum.accumulate(np.minimum.accumulate(lost, 0), 1)
    errors: Values = weight * lost / (1 - lost)
    return errors


def _lost(conv: Convolution, x: Tensor, seen: Seen, fit: Fit) -> Values:
    """(O, I): the share of the outputs that is lost."""
    kernel, covariance = kernel_of(conv).double(), covariance_of(seen.inputs)
    each = len(seen.voxels)
    count = max(2, math.ceil(samples(conv, fit) / _SHARE / len(x)))
    chosen = some_voxels((each,), count, fit.seed + 1)
    rows = (torch.arange(len(x))[:, None] * each + chosen).flatten()
    neighbourhoods = kernel_inputs(conv, x, seen.voxels[chosen])
    neighbourhoods = neighbourhoods.reshape(len(neighbourhoods), conv.in_channels, -1)
    halves = _Halves(seen.weights[rows])
    wanted, held_out = halves(seen.output[rows])
    there = held_out @ seen.root.T
    every = subspace(kernel, seen.root, covariance, conv.in_channels)
    ranks = _some_ranks(conv.in_channels)
    columns = []
    for rank in ranks:
        first = every[:rank]
        fitted, tried = halves(torch.einsum("sik,ri->srk", neighbourhoods, first.to(neighbourhoods.dtype)).flatten(1))
        prior = projected(kernel, first, covariance)
        whole = seen.root @ (prior + ridge_regression(fitted, wanted - fitted @ prior.T, fit.ridge))
        answer = fitted @ whole.T
        leading = torch.linalg.eigh(answer.T @ answer).eigenvectors.flip(1)
        ours, theirs = tried @ whole.T @ leading, there @ leading
        columns.append((2 * ours * theirs - ours.square()).sum(0).cumsum(0) / theirs.square().sum().clamp(min=1e-30))
    kept = torch.stack(columns, 1).numpy()
    return 1 - np.stack([np.interp(np.arange(1, conv.in_channels + 1), ranks, row) for row in kept])


class _Halves:
    """Splits rows (S, ...) in two, weighted, both less the first half's mean."""

    def __init__(self, weights: Tensor) -> None:
        self._even = torch.arange(len(weights)) % 2 == 0
        self._weights = weights

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        even = self._even
        centred = (rows.double() - mean_of(rows[even], self._weights[even])) * self._weights.sqrt()[:, None]
        return centred[even], centred[~even]


def _some_ranks(channels: int) -> list[int]:
    exponents = range(_PER_OCTAVE * math.ceil(math.log2(max(channels, 2))))
    return sorted({min(channels, round(2 ** (n / _PER_OCTAVE))) for n in exponents} | {channels})

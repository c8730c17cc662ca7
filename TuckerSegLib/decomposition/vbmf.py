"""The rank of a matrix under noise of unknown strength, by variational Bayes, in closed form.

Nakajima, Sugiyama, Babacan and Tomioka: Global Analytic Solution of Fully-observed Variational Bayesian Matrix
Factorization. JMLR 14, 2013. The empirical variant (EVBMF) has one threshold on the singular values (theorem 2 and
corollary 1 there); the noise's variance is the minimum of a function of one variable (theorem 3).
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Values = npt.NDArray[np.float64]

_GRID = 200
"""Noise variances that are tried first; the function has several local minima, one for each rank at most."""


def rank(squares: Values, columns: int) -> int:
    """The number of components that stand out of the noise of an L x M matrix, L <= M = `columns`; may be 0.

    `squares` are the L squared singular values of the matrix, in descending order.

    Raises:
        ValueError: the matrix has more rows than columns.
    """
    if len(squares) > columns:
        raise ValueError(f"{len(squares)} rows are more than {columns} columns: give the transposed matrix")
    if len(squares) < 2 or squares[0] <= 0:
        return int(squares[:1].sum() > 0)
    alpha = len(squares) / columns
    threshold = _threshold(alpha)
    return int(np.count_nonzero(squares > columns * _noise(squares, columns, alpha, threshold) * threshold))


def _threshold(alpha: float) -> float:
    """The x-bar of equation 22: a component counts where its squared singular value exceeds M sigma^2 x-bar."""
    tau = brentq(lambda t: _phi(t) + _phi(t / alpha), 1e-9, 1e3)
    return float((1 + tau) * (1 + alpha / tau))


def _phi(z: float) -> float:
    return math.log1p(z) / z - 0.5


def _noise(squares: Values, columns: int, alpha: float, threshold: float) -> float:
    """The variance that minimises the free energy, between the bounds of theorem 3."""
    rows = len(squares)
    squares = np.maximum(squares, squares[0] * 1e-15)  # without noise the free energy has no minimum
    most = min(math.ceil(rows / (1 + alpha)) - 1, rows - 1)
    high = squares.sum() / (rows * columns)
    low = max(squares[most] / (columns * threshold), squares[most:].mean() / columns, high * 1e-12)
    tried = np.geomspace(low, max(high, low), _GRID)
    for _ in range(3):
        energies = [_free_energy(squares / (columns * variance), alpha, threshold) for variance in tried]
        best = int(np.argmin(energies))
        around = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
        tried = np.geomspace(*around, len(tried) // 4)
    return float(tried[int(np.argmin([_free_energy(squares / (columns * v), alpha, threshold) for v in tried]))])


def _free_energy(x: Values, alpha: float, threshold: float) -> float:
    """Equation 29 up to constants, for x = squared singular values over M sigma^2."""
    inside = x[x > threshold]
    excess = inside - (1 + alpha)
    tau = (excess + np.sqrt(np.maximum(excess**2 - 4 * alpha, 0))) / 2
    gain = np.log1p(tau) + alpha * np.log1p(tau / alpha) - tau
    return float((x - np.log(x)).sum() + gain.sum())

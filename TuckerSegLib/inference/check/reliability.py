"""How often a compressed network errs where it is how sure: known from phantoms, corrected by what one scan shows.

The odds that the original network decides otherwise depend on the structure and on the class of the margin. Counts on
phantoms give them beforehand; on a scan they move by one amount for all voxels, by one that grows with the margin, and
by one for each structure, which are most likely small. (A logistic regression with random effects and an offset:
Gelman and Hill, Data Analysis Using Regression and Multilevel/Hierarchical Models, 2007, chapter 14.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .sureness import EDGES, Sureness

Array = npt.NDArray[np.float64]

CLASSES = len(EDGES) + 1

_MIDDLES = np.array([0.07, 0.22, 0.4, 0.65, 1.0, 1.45, 2.05, 2.85, 3.9, 5.2, 7.0, 9.5, 13.0])
"""The margin in the middle of each class."""

_SHRINK = 30.0
"""Voxels of a structure and a class that count as much as what is known of the others."""

_ALIKE = 300.0
"""Neighbouring voxels err together: so many are one observation."""

_LEARNT, _UNKNOWN = (0.5, 0.3, 0.7), (1.0, 0.6, 1.0)
"""Standard deviations of the three amounts, where phantoms were seen and where not."""

_LOWEST = 1e-5


@dataclass(frozen=True)
class Reliability:
    """Voxels on which both networks were asked, by the compressed one's label and class of margin, (labels, classes).

    `wrong` are those of `seen` in which the original decided otherwise.
    """

    seen: Array
    wrong: Array

    @classmethod
    def unknown(cls, labels: int) -> "Reliability":
        """Nothing has been seen: odds that fall with the margin as they mostly do."""
        return cls(np.zeros((labels, CLASSES)), np.zeros((labels, CLASSES)))

    @classmethod
    def of(cls, compressed: Sureness, original: Tensor, labels: int, where: Tensor | None = None) -> "Reliability":
        """Counted on one image, from the original network's labels on the same grid, in the voxels `where` or all."""
        there = torch.ones_like(compressed.labels, dtype=torch.bool) if where is None else where
        key = compressed.labels[there].long() * CLASSES + compressed.margins[there]
        differs = compressed.labels[there] != original[there]
        counts = (torch.bincount(some, minlength=labels * CLASSES).double().numpy() for some in (key, key[differs]))
        return cls(*(count.reshape(labels, CLASSES) for count in counts))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.seen + other.seen, self.wrong + other.wrong)

    @property
    def known(self) -> bool:
        """Whether any voxel was seen."""
        return bool(self.seen.any())

    @property
    def log_odds(self) -> Array:
        """The probability that the original decides otherwise, (labels, classes)."""
        usual = _probability(-0.5 - 0.9 * _MIDDLES)
        pooled = (self.wrong.sum(0) + _SHRINK * usual) / (self.seen.sum(0) + _SHRINK)
        share = ((self.wrong + _SHRINK * pooled) / (self.seen + _SHRINK)).clip(_LOWEST, 1 - _LOWEST)
        odds: Array = np.log(share / (1 - share))
        return odds

    def to_json(self) -> dict[str, Any]:
        return {"seen": self.seen.tolist(), "wrong": self.wrong.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Reliability":
        return cls(np.array(content["seen"], float), np.array(content["wrong"], float))


@dataclass(frozen=True)
class Doubt:
    """Probabilities that the original decides otherwise, by label and class of margin, on one scan.

    Attributes:
        likely: the most likely ones, (labels, classes).
        draws: (draws, labels, classes), as far apart as they are uncertain.
    """

    likely: Array
    draws: Array


def doubt(before: Reliability, scan: Reliability, draws: int = 64) -> Doubt:
    """What is known from phantoms, corrected by what the checked part of a scan shows."""
    odds, terms = before.log_odds, _terms(len(before.seen))
    everywhere, sloped, each = _LEARNT if before.known else _UNKNOWN
    precision = np.diag(np.array([everywhere, sloped, *[each] * len(odds)]) ** -2.0)
    seen, wrong = scan.seen.ravel() / _ALIKE, scan.wrong.ravel() / _ALIKE
    found, curvature = _most_likely(odds.ravel(), terms, seen, wrong, precision)
    root = np.linalg.cholesky(np.linalg.inv(curvature))
    others = found + np.random.default_rng(0).standard_normal((draws, len(found))) @ root.T
    at = [_probability(odds.ravel() + some @ terms.T) for some in (found, others)]
    return Doubt(at[0].reshape(odds.shape), at[1].reshape(-1, *odds.shape))


def _terms(labels: int) -> Array:
    """What each amount adds to the odds of a label and class, (labels * classes, 2 + labels)."""
    terms = np.zeros((labels, CLASSES, 2 + labels))
    terms[..., 0], terms[..., 1] = 1, (_MIDDLES - 2) / 3
    terms[np.arange(labels), :, 2 + np.arange(labels)] = 1
    return terms.reshape(labels * CLASSES, -1)


def _most_likely(odds: Array, terms: Array, seen: Array, wrong: Array, precision: Array) -> tuple[Array, Array]:
    """The amounts, and the curvature of the likelihood there, by Newton's method."""
    used = seen > 0
    odds, terms, seen, wrong = odds[used], terms[used], seen[used], wrong[used]
    found, curvature = np.zeros(len(precision)), precision
    for _ in range(40):
        share = _probability(odds + terms @ found)
        slope = terms.T @ (seen * share - wrong) + precision @ found
        curvature = (terms * (seen * share * (1 - share))[:, None]).T @ terms + precision
        step = np.linalg.solve(curvature, slope).clip(-1.5, 1.5)
        found -= step
        if np.abs(step).max() < 1e-4:
            break
    return found, curvature


def _probability(odds: Array) -> Array:
    probability: Array = 1 / (1 + np.exp(-odds))
    return probability

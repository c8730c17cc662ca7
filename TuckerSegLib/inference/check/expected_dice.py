"""The Dice between a label map and the original network's that is to be expected where the original did not run.

Where it ran, both labels are known. Elsewhere a voxel's label is the original's as well, or else, with the
probability that its structure and margin have, the label that the compressed network would have chosen next. That
gives the overlap and both sizes of every structure, hence its Dice.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .reliability import CLASSES, Array, Doubt
from .sureness import Sureness

_PRESENT = 20.0
"""Voxels expected of a structure that the label map lacks, from which on the original probably has it."""

_SMALLEST = 20
"""Voxels: smaller structures count as if they had so many when patches are chosen."""

_BETWEEN = (5, 95)
"""Percentiles of the interval."""

_SPREAD = 1.0


@dataclass(frozen=True)
class Expected:
    """Mean Dice over structures, and the interval in which it lies nine times in ten."""

    agreement: float
    low: float
    high: float


@dataclass(frozen=True)
class Known:
    """What is certain, where the original ran: the voxels of each label, (labels,) each."""

    ours: Array
    originals: Array
    both: Array


def known(ours: Tensor, originals: Tensor, labels: int) -> Known:
    """Counted in voxels (n,) of the label map and of the original's."""
    counts = (ours, originals, ours[ours == originals])
    return Known(*(torch.bincount(some.long(), minlength=labels).double().numpy() for some in counts))


def expected_dice(level: Sureness, elsewhere: Tensor, seen: Known, doubt: Doubt) -> Expected:
    """Of a label map that is the level's `elsewhere` (*spatial; bool), and known where the original ran."""
    labels = len(seen.ours)
    kinds, counts = _kinds(level, elsewhere, labels)
    likely = _mean_dice(kinds, counts, seen, doubt.likely)
    draws = [_mean_dice(kinds, counts, seen, draw) for draw in doubt.draws]
    low, high = np.percentile(draws, _BETWEEN)
    return Expected(likely, max(0.0, min(low, likely)), min(1.0, max(high, likely)))


def losses(level: Sureness, owners: Tensor, patches: int, doubt: Doubt) -> Array:
    """The Dice of each structure that is probably lost in the voxels that each patch owns, (patches, labels)."""
    labels = len(doubt.likely)
    best, second, where = (x.flatten().long() for x in (level.labels, level.seconds, owners))
    lost = torch.from_numpy(doubt.likely)[best, level.margins.flatten().long()]
    size = torch.bincount(best, minlength=labels).clamp(min=_SMALLEST).double()
    found = torch.zeros(patches * labels, dtype=torch.double)
    for label in (best, second):
        found += torch.bincount(where * labels + label, lost / size[label], minlength=len(found))
    each: Array = found.view(patches, labels).numpy()
    each[:, 0] = 0
    return each


def _kinds(level: Sureness, where: Tensor, labels: int) -> tuple[npt.NDArray[np.int64], Array]:
    """The label, next label and class of margin that occur, (3, kinds), and how many voxels have them, (kinds,)."""
    best, second, margin = (x[where].long() for x in (level.labels, level.seconds, level.margins))
    counts = torch.bincount((best * labels + second) * CLASSES + margin).double().numpy()
    found = np.flatnonzero(counts)
    pairs, margins = np.divmod(found, CLASSES)
    return np.stack([*np.divmod(pairs, labels), margins]), counts[found]


def _mean_dice(kinds: npt.NDArray[np.int64], counts: Array, seen: Known, wrong: Array) -> float:
    best, second, margins = kinds
    labels = len(seen.ours)
    lost = counts * wrong[best, margins]
    ours = seen.ours + np.bincount(best, counts, labels)
    shared = np.bincount(best, counts - lost, labels)
    both, originals = seen.both + shared, seen.originals + shared + np.bincount(second, lost, labels)
    dice = 2 * both / np.maximum(ours + originals, 1e-9)
    # A structure that neither map has does not count; one that the original may have counts as likely as it has it.
    counted = np.where((ours > 0) | (seen.originals > 0), 1.0, 1 - np.exp(-originals / _PRESENT))
    counted[0] = 0
    return float((dice * counted).sum() / counted.sum()) if counted.any() else 1.0

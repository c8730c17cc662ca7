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

_SMALLEST = 20
"""Voxels: smaller structures count as if they had so many when patches are chosen."""

_BETWEEN = (5, 95)
"""Percentiles of the interval."""


@dataclass(frozen=True)
class Expected:
    """Mean Dice over structures that are large enough, and the interval in which it lies nine times in ten."""

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


def expected_dice(
    compressed: Sureness, elsewhere: Tensor, seen: Known, doubt: Doubt, smallest: float = 1.0
) -> Expected:
    """The Dice to expect of a label map that is known but for `elsewhere` (*spatial; bool), where it is `compressed`'s.

    Structures of fewer than `smallest` voxels in both maps are left out: fragments at the border of the field of view,
    of which one map may have a voxel and the other none, say nothing about the rest.
    """
    labels = len(seen.ours)
    kinds, counts = _kinds(compressed, elsewhere, labels)
    likely = _mean_dice(kinds, counts, seen, doubt.likely, smallest)
    draws = [_mean_dice(kinds, counts, seen, draw, smallest) for draw in doubt.draws]
    low, high = np.percentile(draws, _BETWEEN)
    return Expected(likely, max(0.0, min(low, likely)), min(1.0, max(high, likely)))


def losses(compressed: Sureness, owners: Tensor, patches: int, doubt: Doubt) -> Array:
    """The Dice of each structure that is probably lost in the voxels that each patch owns, (patches, labels)."""
    labels = len(doubt.likely)
    best, second, where = (x.flatten().long() for x in (compressed.labels, compressed.seconds, owners))
    lost = torch.from_numpy(doubt.likely)[best, compressed.margins.flatten().long()]
    size = torch.bincount(best, minlength=labels).clamp(min=_SMALLEST).double()
    found = torch.zeros(patches * labels, dtype=torch.double)
    for label in (best, second):
        found += torch.bincount(where * labels + label, lost / size[label], minlength=len(found))
    each: Array = found.view(patches, labels).numpy()
    each[:, 0] = 0
    return each


def _kinds(compressed: Sureness, where: Tensor, labels: int) -> tuple[npt.NDArray[np.int64], Array]:
    """The label, next label and class of margin that occur, (3, kinds), and how many voxels have them, (kinds,)."""
    best, second, margin = (x[where].long() for x in (compressed.labels, compressed.seconds, compressed.margins))
    counts = torch.bincount((best * labels + second) * CLASSES + margin).double().numpy()
    found = np.flatnonzero(counts)
    pairs, margins = np.divmod(found, CLASSES)
    return np.stack([*np.divmod(pairs, labels), margins]), counts[found]


def _mean_dice(kinds: npt.NDArray[np.int64], counts: Array, seen: Known, wrong: Array, smallest: float) -> float:
    best, second, margins = kinds
    labels = len(seen.ours)
    lost = counts * wrong[best, margins]
    ours = seen.ours + np.bincount(best, counts, labels)
    shared = np.bincount(best, counts - lost, labels)
    both, originals = seen.both + shared, seen.originals + shared + np.bincount(second, lost, labels)
    dice = 2 * both / np.maximum(ours + originals, 1e-9)
    counted = np.maximum(ours, originals) >= smallest
    counted[0] = False
    return float(dice[counted].mean()) if counted.any() else 1.0

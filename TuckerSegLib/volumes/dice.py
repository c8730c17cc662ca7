"""Dice's coefficient between two label maps."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.unsignedinteger]


def dice(reference: Labels, other: Labels) -> dict[int, float]:
    """Dice's coefficient 2 |A and B| / (|A| + |B|) of each label that occurs in either map, background left out.

    Both maps are (K, J, I) on one grid. (Dice, Ecology 26, 1945.)

    Raises:
        ValueError: the maps differ in shape.
    """
    if reference.shape != other.shape:
        raise ValueError(f"label maps of the shapes {reference.shape} and {other.shape} cannot be compared")
    size = int(max(reference.max(initial=0), other.max(initial=0))) + 1
    ours, theirs = (np.bincount(labels.ravel(), minlength=size) for labels in (reference, other))
    both = np.bincount(reference[reference == other].ravel(), minlength=size)
    return {
        label: float(2 * both[label] / (ours[label] + theirs[label]))
        for label in range(1, size)
        if ours[label] + theirs[label]
    }


def mean_dice(reference: Labels, other: Labels, smallest: float = 1.0) -> float:
    """The mean of `dice` over labels with at least `smallest` voxels in one of the maps; 1.0 where there are none."""
    sizes = np.maximum(*(np.bincount(labels.ravel(), minlength=1 << 16) for labels in (reference, other)))
    values = [value for label, value in dice(reference, other).items() if sizes[label] >= smallest]
    return float(np.mean(values)) if values else 1.0

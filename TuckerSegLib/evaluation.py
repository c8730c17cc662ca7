"""How alike two label maps are, and whether two networks differ over several cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, wilcoxon

from .surfaces import surface_distances
from .volume import LabelMap

Labels = npt.NDArray[np.unsignedinteger]
SURFACE_TOLERANCE = 3.0
"""Millimetres within which surfaces count as equal."""


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


def mean_dice(reference: Labels, other: Labels) -> float:
    """The mean of `dice` over labels; 1.0 where both maps are empty."""
    values = list(dice(reference, other).values())
    return float(np.mean(values)) if values else 1.0


@dataclass(frozen=True)
class Score:
    """One structure of one case: Dice, surface Dice, the 95th percentile Hausdorff distance in mm, volumes in ml.

    `hausdorff95` is None where the structure is missing from either map; Dice and surface Dice are 0.0 then.
    """

    label: int
    dice: float
    surface_dice: float
    hausdorff95: float | None
    reference_volume: float
    volume: float


def scores(reference: LabelMap, other: LabelMap, tolerance: float = SURFACE_TOLERANCE) -> list[Score]:
    """Each structure of `reference`, compared; surface Dice at `tolerance` mm.

    Raises:
        ValueError: the maps differ in shape.
    """
    overlaps = dice(reference.labels, other.labels)
    ours, theirs = reference.voxel_counts(), other.voxel_counts()
    spacing = reference.geometry.spacing[::-1]
    volume = reference.geometry.voxel_volume
    found = []
    for label, count in ours.items():
        distances = surface_distances(reference.labels == label, other.labels == label, spacing)
        hausdorff = distances.hausdorff95()
        surface = distances.agreement(tolerance)
        known = None if np.isnan(hausdorff) else hausdorff
        found.append(Score(label, overlaps[label], surface, known, count * volume, theirs.get(label, 0) * volume))
    return found


@dataclass(frozen=True)
class Difference:
    """A paired comparison over cases: the mean difference, p before and after Holm's correction, and the effect.

    `effect` is the matched-pairs rank-biserial correlation, -1 (always lower) to 1 (Kerby, Compr. Psychol. 3, 2014).
    """

    cases: int
    mean: float
    p: float
    corrected: float
    effect: float


def differences(original: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> dict[str, Difference]:
    """Wilcoxon's signed-rank test of each class, two-sided, corrected over classes (Holm, Scand. J. Stat. 6, 1979).

    The values of a class are those of the same cases in the same order.
    """
    tests = {name: _signed_rank(np.subtract(other[name], original[name])) for name in original}
    corrected = holm([p for p, _ in tests.values()])
    return {
        name: Difference(
            len(original[name]), float(np.mean(np.subtract(other[name], original[name]))), p, adjusted, effect
        )
        for (name, (p, effect)), adjusted in zip(tests.items(), corrected, strict=True)
    }


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, in the same order."""
    order = np.argsort(values)
    adjusted = np.asarray(values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(adjusted), 1.0)
    return [float(p) for p in corrected]


def smallest_p(cases: int) -> float:
    """The smallest p that the two-sided signed-rank test can give: what so few cases can show at most."""
    return min(1.0, 2.0 ** (1 - cases))


def _signed_rank(change: npt.NDArray[np.float64]) -> tuple[float, float]:
    """p and effect; cases without a change are left out."""
    change = change[np.abs(change) > 1e-12]
    if not len(change):
        return 1.0, 0.0
    ranks = rankdata(np.abs(change))
    effect = float((ranks * np.sign(change)).sum() / ranks.sum())
    return float(wilcoxon(change).pvalue), effect

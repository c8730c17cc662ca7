"""How alike two label maps are, and whether two networks differ over several cases."""

from dataclasses import dataclass

import numpy as np

from ...volumes.dice import dice
from ...volumes.volume import LabelMap
from .surfaces import surface_distances

SURFACE_TOLERANCE = 3.0
"""Millimetres within which surfaces count as equal."""


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
    """How well `other` shows each structure of `reference`; surface Dice at `tolerance` mm.

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

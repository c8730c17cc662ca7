"""Keeping some of a label map's structures, and of each what is no stray part."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..errors import InputError, suggestion
from .volume import LabelMap

SMALLEST = 200.0
"""Cubic millimetres; what TotalSegmentator removes, too."""


def check(names: Sequence[str], wanted: Sequence[str]) -> None:
    """
    Raises:
        InputError: a wanted structure is not among a model's `names`.
    """
    for structure in wanted:
        if structure not in names:
            advice = suggestion(structure, names, "see the model's list of structures.")
            raise InputError(f"This model has no structure {structure}: {advice}")


def only(label_map: LabelMap, wanted: Sequence[str]) -> LabelMap:
    """The same labels without the structures that are not `wanted`; all of them where nothing is.

    Raises:
        InputError: a wanted structure has no label.
    """
    if not wanted:
        return label_map
    check(tuple(label_map.names.values()), wanted)
    names = {label: name for label, name in label_map.names.items() if name in wanted}
    highest = int(label_map.labels.max(initial=0))
    kept = np.zeros(highest + 1, label_map.labels.dtype)
    for label in names:
        if label <= highest:
            kept[label] = label
    return LabelMap(kept[label_map.labels], label_map.geometry, names)


def without_small_parts(label_map: LabelMap, smallest: float = SMALLEST) -> LabelMap:
    """The same labels without the parts of a structure, connected by faces, of at most `smallest` cubic millimetres."""
    labels = label_map.labels.copy()
    voxels = smallest / (label_map.geometry.voxel_volume * 1000.0)
    for label, place in enumerate(ndimage.find_objects(labels.astype(np.int32, copy=False)), start=1):
        if place is None:
            continue
        inside = labels[place]
        parts, _count = ndimage.label(inside == label)
        small = np.bincount(parts.ravel()) <= voxels
        small[0] = False
        inside[small[parts]] = 0
    return LabelMap(labels, label_map.geometry, label_map.names)

"""What TotalSegmentator does to a task's labels after its networks, by its own functions."""

# mypy: allow-untyped-calls

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Image

from ...models.totalsegmentator.tasks import Spacing, Task
from .nibabel_images import Labels, labels_of, spacing_of

_SMALL_EXTREMITIES, _SMALL = 50_000, 200
"""Cubic millimetres."""

_LARGEST = 1e10

_REFINING_MM = 2


def cleaned(image: Nifti1Image, task: Task, remove_small_blobs: bool) -> Labels:
    """Without the labels that only help the network, and without what cannot be; on the network's grid."""
    from totalsegmentator.postprocessing import (
        keep_largest_blob_multilabel,
        remove_auxiliary_labels,
    )

    labels = labels_of(remove_auxiliary_labels(image, task.base) if task.hidden else image)
    names = dict(task.structures)
    if task.base == "body":
        labels = keep_largest_blob_multilabel(labels, names, ["body_trunc"], quiet=True)
        labels = _without_blobs(labels, names, ["body_extremities"], _SMALL_EXTREMITIES, spacing_of(image))
    if task.base in ("vertebrae_pp", "vertebrae_pp_refined"):
        labels = _vertebrae(labels, names, spacing_of(image))
    if remove_small_blobs:
        labels = _without_blobs(labels, names, list(names.values()), _SMALL, spacing_of(image))
    return labels


def refined(labels: Labels, body: Labels, task: Task, spacing: Spacing) -> Labels:
    """The labels with the borders of the vertebral bodies in `body`."""
    from totalsegmentator.postprocessing import refine_vertebrae_pp_with_body_mask

    sharper: Labels = refine_vertebrae_pp_with_body_mask(
        labels, body, dict(task.structures), voxel_spacing=spacing, dilation_mm=_REFINING_MM
    )
    return sharper


def within(labels: Labels, mask: npt.NDArray[np.bool_], task: Task, spacing: Spacing) -> Labels:
    """The labels in the mask and around it."""
    from totalsegmentator.postprocessing import remove_outside_of_mask

    assert task.within is not None
    voxels = int(task.within[1] / np.mean(spacing))
    kept: Labels = remove_outside_of_mask(labels, mask, addon=voxels)
    return kept


def _vertebrae(labels: Labels, names: dict[int, str], spacing: Spacing) -> Labels:
    """Counted anew where the network's labels touch."""
    from totalsegmentator.postprocessing import dilate_vertebrae_labels, postprocess_vertebrae_pp

    try:
        counted: Labels = postprocess_vertebrae_pp(labels, names, voxel_volume=np.prod(spacing), voxel_spacing=spacing)
    except IndexError:  # it cannot count a single vertebra, of which there is nothing to count
        counted = dilate_vertebrae_labels(labels, names, spacing)
    return counted


def _without_blobs(
    labels: Labels, names: dict[int, str], structures: list[str], smallest: float, spacing: Spacing
) -> Labels:
    from totalsegmentator.postprocessing import remove_small_blobs_multilabel

    sizes = [smallest / np.prod(spacing), _LARGEST]
    kept: Labels = remove_small_blobs_multilabel(labels, names, structures, interval=sizes, quiet=True)
    return kept

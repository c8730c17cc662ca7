"""What can be said against a run before it starts: the wrong kind of image, no licence number, too little memory."""

# mypy: allow-untyped-calls

from importlib.util import find_spec

import numpy as np
import psutil
from nibabel.nifti1 import Nifti1Image

from ...errors import NotEnoughMemory, WeightsError
from ...models.totalsegmentator.tasks import Task
from ...volumes import modality
from ...volumes.volume import Volume
from .thirds import pieces_of

_BYTES_A_SCORE = 2

_BYTES_OF_FEATURES = 32
"""Bytes a voxel takes where features are averaged instead of scores: at the lowest levels eight are left."""

_BYTES_A_VOXEL = 16
"""The resampled image as integers, as the network's input, and its labels."""

_LICENCE = "https://backend.totalsegmentator.com/license-academic/"


def modality_warning(volume: Volume, task: Task) -> str | None:
    """One sentence where the image seems to be of another modality than the task's.

    TotalSegmentator's own classifier decides where what it needs (xgboost) is installed, else the range of values.
    """
    found = (_classified(volume) if find_spec("xgboost") else None) or modality.guessed(volume.voxels[0])
    return modality.warning(found, task.modality, task.name)


def check_licence(task: Task) -> None:
    """
    Raises:
        WeightsError: the task needs a licence number and TotalSegmentator has none.
    """
    if not task.licensed:
        return
    from totalsegmentator.config import has_valid_license_offline

    status, _ = has_valid_license_offline()
    if status != "yes":
        said = "was refused" if status == "invalid_license" else "is missing"
        raise WeightsError.of(
            task.name,
            f"The licence number that {task.name} needs {said}: get one at {_LICENCE} and give it to "
            f"'tuckerseg models install {task.name} --license-number NUMBER'.",
        )


def check_memory(task: Task, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    """Whether the task's networks fit into memory for an image of that shape and spacing.

    Raises:
        NotEnoughMemory: not even their outputs do.
    """
    free = psutil.virtual_memory().available
    needed = memory_needed(task, shape, spacing)
    if needed > free:
        raise NotEnoughMemory(
            f"{task.name} needs about {needed / 1e9:.1f} GB of memory for this image and {free / 1e9:.1f} GB are free: "
            "close other programs, crop the image, or choose a task of coarser resolution, if there is one."
        )


def memory_needed(task: Task, shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    """At least so many bytes, for the outputs of the network with the most structures and the image at its spacing."""
    there = np.rint(np.array(shape) * np.array(spacing) / np.array(task.spacing or spacing)).astype(int)
    labels = max(max(part) for part in task.parts.values()) if task.parts else max(task.structures)
    answers = min((labels + 1) * _BYTES_A_SCORE, _BYTES_OF_FEATURES) / len(pieces_of(tuple(there.tolist()), task))
    return int(np.prod(there) * (answers + _BYTES_A_VOXEL))


def _classified(volume: Volume) -> str | None:
    try:
        from totalsegmentator.bin.totalseg_get_modality import get_modality
    except ImportError:  # it imports much that only its other commands need
        return None
    # Four numbers over all voxels decide; a sample has much the same and takes no double-precision copies of them all.
    sample = modality.sample(volume.voxels[0]).astype(np.float64)
    return str(get_modality(Nifti1Image(sample.reshape(-1, 1, 1), np.eye(4)))["modality"]).upper()

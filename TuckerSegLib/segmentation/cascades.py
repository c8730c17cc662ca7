"""The two stages of nnU-Net's cascades: a model at low resolution, whose labels the one at full resolution refines."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import ModelError
from ..models.nnunet import TrainedModel
from ..progress import Progress, seconds_together
from ..volumes.volume import LabelMap, Volume
from .one_model import Result
from .request import Request

Stage = Callable[[Volume, Request, Progress], Result]


def first_stage(
    model: TrainedModel, first: TrainedModel, segment: Stage, volume: Volume, request: Request, progress: Progress
) -> Result:
    """What the first stage of a cascade finds, at the level of the `request` for its second, `model`.

    Raises:
        ModelError: the two do not go together.
        TuckerSegError: as `segment`.
    """
    if first.is_second_stage or first.labels != model.labels or first.channel_names != model.channel_names:
        raise ModelError(f"{model.previous} is not the first stage of {model.name}: copy the folder that is.")
    return segment(volume, replace(request, model=model.previous, structures=(), folds=()), progress)


def with_labels(volume: Volume, label_map: LabelMap) -> Volume:
    """The volume with a further channel, as the second stage takes it: the labels that the first one found."""
    labels = label_map.labels[np.newaxis]
    dtype = np.result_type(volume.voxels.dtype, labels.dtype)
    return Volume(np.concatenate([volume.voxels.astype(dtype, copy=False), labels.astype(dtype)]), volume.geometry)


def both(first: Result, second: Result) -> Result:
    """What the second stage gave, and what both of them took."""
    return replace(
        second,
        seconds=seconds_together(first.seconds, second.seconds),
        cache_hit=first.cache_hit and second.cache_hit,
        checks={**{f"{name} (first stage)": check for name, check in first.checks.items()}, **second.checks},
    )

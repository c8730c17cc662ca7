"""One prepared model over one volume."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import TuckerSegError
from ..inference.check.checked import Checked
from ..inference.check.original import Original
from ..inference.predict import Labels, predict, predict_checked
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import LabelMap, Volume
from .prepare import PreparedModel

_log = logging.getLogger(__name__)


STEP = 0.5
"""nnU-Net's distance between patches, as a share of their size."""


@dataclass(frozen=True)
class Result:
    """What a run gave.

    `model` is the one that ran, or ran last, in its compressed form; `seconds` are by stage, those of several networks
    together; `cache_hit` says whether the cache had its compressed form, and `engine` which one ran it. `checks` are by
    the name of the network whose answer was checked. `choices` are those that were made on this computer, by what is
    fast here, and went into it.
    """

    label_map: LabelMap
    model: TrainedModel
    seconds: Mapping[str, float]
    cache_hit: bool
    engine: str
    checks: Mapping[str, Checked] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)


def run(prepared: PreparedModel, volume: Volume, progress: Progress | None = None, step: float = STEP) -> Result:
    """Segment `volume`, voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT).

    Patches lie `step` of their size apart. `progress` is told of the stages "preprocess", "predict", "check" where the
    model is to be checked, and "postprocess".

    Raises:
        InputError: the volume's channels are not the model's.
        ModelError: the network's answers are not finite.
        Cancelled: `progress` was cancelled; within one patch.
    """
    try:
        labels, checks, seconds = _predicted(prepared, volume, progress or Progress(), step)
    except Exception as error:
        if prepared.instead is None or isinstance(error, TuckerSegError):
            raise
        _log.warning("The %s device failed, the CPU takes over: %s", prepared.device.type, error)
    else:
        label_map = LabelMap(labels, volume.geometry, prepared.model.labels)
        hit, choices = prepared.cache_hit, dict(prepared.choices)
        return Result(label_map, prepared.model, seconds, hit, prepared.engine, checks, choices)
    # Only now, as the error holds what is in the GPU's memory.
    instead = prepared.instead()
    as_asked = replace(instead.model, mirror_axes=prepared.model.mirror_axes)
    return run(replace(instead, model=as_asked, check=prepared.check), volume, progress, step)


def _predicted(
    prepared: PreparedModel, volume: Volume, progress: Progress, step: float
) -> tuple[Labels, dict[str, Checked], dict[str, float]]:
    """The labels, what was found out about them, and the seconds of each stage."""
    model, networks, device, head = prepared.model, prepared.networks, prepared.device, prepared.head
    check = prepared.check
    if check is None:
        labels, seconds = predict(model, networks, volume, device=device, step=step, head=head, progress=progress)
        return labels, {}, seconds

    def original(run: Progress) -> Original:
        run.stage("load")  # what a second run has no need of is no part of what a check takes
        found = check.original(prepared, run)
        run.stage("check")
        return Original(found.networks, found.head)

    labels, checked, seconds = predict_checked(
        model, networks, volume, original, check.wanted, device=device, step=step, head=head, progress=progress
    )
    return labels, {model.name: checked}, seconds

"""One prepared model over one volume."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import TuckerSegError
from ..inference.predict import Labels, predict
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import LabelMap, Volume
from .prepare import PreparedModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a run gave.

    `model` is the one that ran, or ran last, in its compressed form; `seconds` are by stage, those of several networks
    together; `cache_hit` says whether the cache had its compressed form, and `engine` which one ran it.
    """

    label_map: LabelMap
    model: TrainedModel
    seconds: Mapping[str, float]
    cache_hit: bool
    engine: str


def run(prepared: PreparedModel, volume: Volume, progress: Progress | None = None, step: float = 0.5) -> Result:
    """Segment `volume`, voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT).

    Patches lie `step` of their size apart. `progress` is told of the stages "preprocess", "predict" and "postprocess".

    Raises:
        InputError: the volume's channels are not the model's.
        ModelError: the network's answers are not finite.
        Cancelled: `progress` was cancelled; within one patch.
    """
    try:
        labels, seconds = predict(
            prepared.model,
            prepared.networks,
            volume,
            device=prepared.device,
            step=step,
            head=prepared.head,
            progress=progress,
        )
    except Exception as error:
        if prepared.instead is None or isinstance(error, TuckerSegError):
            raise
        _log.warning("The %s device failed, the CPU takes over: %s", prepared.device.type, error)
    else:
        return _result(prepared, volume, labels, seconds)
    return run(prepared.instead(), volume, progress, step)  # only now, as the error holds what is in the GPU's memory


def _result(prepared: PreparedModel, volume: Volume, labels: Labels, seconds: Mapping[str, float]) -> Result:
    label_map = LabelMap(labels, volume.geometry, prepared.model.labels)
    return Result(label_map, prepared.model, seconds, prepared.cache_hit, prepared.engine)

"""One prepared model over one volume."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..inference.predict import predict
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import LabelMap, Volume
from .prepare import PreparedModel


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
    labels, seconds = predict(
        prepared.model,
        prepared.networks,
        volume,
        device=prepared.device,
        step=step,
        head=prepared.head,
        progress=progress,
    )
    label_map = LabelMap(labels, volume.geometry, prepared.model.labels)
    return Result(label_map, prepared.model, seconds, prepared.cache_hit, prepared.engine)

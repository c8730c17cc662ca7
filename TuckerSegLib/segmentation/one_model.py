"""One model over one volume, at any level of compression."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..decomposition.policies import RankPolicy
from ..errors import TuckerSegError
from ..inference.predict import Labels, predict
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import LabelMap, Volume
from .prepare import ORIGINAL, Ready, make_ready

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a run gave: the label map, the model it came from, seconds by stage, and whether the cache had the level.

    `engine` is the one that ran the network.
    """

    label_map: LabelMap
    level: TrainedModel
    seconds: Mapping[str, float]
    cache_hit: bool
    engine: str = "torch"


def segment(
    volume: Volume,
    model: TrainedModel,
    policy: RankPolicy = ORIGINAL,
    *,
    device: str = "auto",
    engine: str = "torch",
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Result:
    """Segment `volume` with `model`, compressed by `policy` the first time and from the cache after that.

    Args:
        volume: voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT), any geometry.
        policy: how much of each layer is kept; a model that is compressed already wants the default.
        device: "auto", "cpu", "cuda" or "mps"; "auto" takes a GPU where there is one.
        engine: "torch" gives the labels of nnUNetv2_predict voxel for voxel where nothing is compressed; "auto" takes
            the fastest on this computer, whose labels differ where two structures score the same to four digits.
        progress: told of the stages "measure", "compress", "preprocess", "predict" and "postprocess"; a wish to stop
            takes effect within one layer while compressing and one patch while predicting.

    Raises:
        InputError: the image, the policy, the device or the engine cannot be used.
        ModelError: the model cannot be used.
        Cancelled: `progress` was cancelled.
    """
    start = time.perf_counter()
    ready = make_ready(model, policy, device=device, engine=engine, cache=cache, progress=progress)
    result = run(ready, volume, progress)
    loading = time.perf_counter() - start - sum(result.seconds.values())
    return Result(result.label_map, ready.level, {"load": loading, **result.seconds}, ready.cache_hit, result.engine)


def run(
    ready: Ready,
    volume: Volume,
    progress: Progress | None = None,
    step: float = 0.5,
) -> Result:
    """All that `segment` does with the volume. Patches lie `step` of their size apart."""
    try:
        labels, seconds = predict(
            ready.level,
            ready.networks,
            volume,
            device=ready.device,
            step=step,
            head=ready.head,
            progress=progress,
        )
    except Exception as error:
        if ready.instead is None or isinstance(error, TuckerSegError):
            raise
        _log.warning("The %s device failed, the CPU takes over: %s", ready.device.type, error)
    else:
        return _result(ready, volume, labels, seconds)
    return run(ready.instead(), volume, progress, step)


def _result(ready: Ready, volume: Volume, labels: Labels, seconds: Mapping[str, float]) -> Result:
    label_map = LabelMap(labels, volume.geometry, ready.level.labels)
    return Result(label_map, ready.level, seconds, ready.cache_hit, ready.engine)

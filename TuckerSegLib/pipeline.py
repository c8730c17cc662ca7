"""A volume with its geometry in, a label map with names on the same grid out, at any level of compression."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .cache import Cache
from .errors import InputError
from .inference import predict
from .models.nnunet import TrainedModel
from .progress import Cancellation, Progress, ProgressCallback
from .ranks import RankPolicy, Relative
from .volume import LabelMap, Volume

DEVICES = ("auto", "cpu", "cuda", "mps")
ORIGINAL = Relative(1.0)


@dataclass(frozen=True)
class Result:
    """What a run gave: the label map, the model it came from, seconds by stage, and whether the cache had the level."""

    label_map: LabelMap
    level: TrainedModel
    seconds: Mapping[str, float]
    cache_hit: bool


def segment(
    volume: Volume,
    model: TrainedModel,
    policy: RankPolicy = ORIGINAL,
    *,
    device: str = "auto",
    cache: Cache | None = None,
    progress: ProgressCallback | None = None,
    cancellation: Cancellation | None = None,
) -> Result:
    """Segment `volume` with `model`, compressed by `policy` the first time and from the cache after that.

    Args:
        volume: voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT), any geometry.
        policy: how much of each layer is kept; a model that is compressed already wants the default.
        device: "auto", "cpu", "cuda" or "mps"; "auto" takes a GPU where there is one.
        progress: told the stage ("compress", "preprocess", "predict", "postprocess"), the fraction and what is left.
        cancellation: takes effect within one layer while compressing and one patch while predicting.

    Raises:
        InputError: the image, the policy or the device cannot be used.
        ModelError: the model cannot be used.
        Cancelled: `cancellation` was asked for.
    """
    where = torch_device(device)
    start = time.perf_counter()
    level, cache_hit = level_of(model, policy, cache, progress, cancellation)
    network, weights = level.network(), level.load_weights()
    compressing = time.perf_counter() - start
    labels, seconds = predict(
        level, network, weights, volume, device=where, progress=progress, cancellation=cancellation
    )
    label_map = LabelMap(labels, volume.geometry, level.labels)
    return Result(label_map, level, {"load": compressing, **seconds}, cache_hit)


def level_of(
    model: TrainedModel,
    policy: RankPolicy,
    cache: Cache | None = None,
    progress: ProgressCallback | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[TrainedModel, bool]:
    """The compressed model, and whether it was in the cache; see `segment` for the rest."""
    start = time.perf_counter()

    def step(done: int, layers: int) -> None:
        if cancellation:
            cancellation.raise_if_cancelled()
        if progress:
            left = (time.perf_counter() - start) / done * (layers - done)
            progress(Progress("compress", 0.0, left if done < layers else None))

    return (cache or Cache()).level(model, policy, step)


def torch_device(name: str) -> torch.device:
    """The device called `name`.

    Raises:
        InputError: there is no such device here.
    """
    if name not in DEVICES:
        raise InputError(f"There is no device {name}: choose one of {', '.join(DEVICES)}.")
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in here.items() if available)
    if not here[name]:
        raise InputError(f"This computer has no {name} device that PyTorch can use: choose auto or cpu.")
    return torch.device(name)

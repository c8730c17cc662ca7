"""How much of the original network's answer a level will give, measured on phantoms before anyone segments."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .cache import Cache
from .engines.store import Store
from .errors import InputError
from .evaluation import mean_dice
from .levels import Level
from .models.nnunet import TrainedModel
from .models.sample import phantom
from .patches import patches_of
from .pipeline import level_of
from .ranks import RankPolicy, Relative

_SEEDS = range(2004, 2008)
"""Phantoms that neither training nor calibration uses."""
_PATCHES_EACH = 3
_VOXELS = 6_000_000
"""Of all patches together, about."""


@dataclass(frozen=True)
class Predicted:
    """Mean Dice with the original network's label maps, and how it was obtained."""

    agreement: float
    how: str


def predicted(model: TrainedModel, policy: RankPolicy, cache: Cache | None = None) -> Predicted:
    """Measured the first time, on patches of phantoms; from the cache's folder after that.

    Dice counts each structure over all patches of a phantom; the mean is over structures, then over phantoms.

    Raises:
        InputError: the model is a 2D one, or takes more than one channel.
    """
    cache = cache or Cache()
    found = known(model, policy, cache)
    if found is None:
        found = _measured(model, policy, cache)
        Store(cache.folder).write_json(_key(model, policy), asdict(found))
    return found


def known(model: TrainedModel, policy: RankPolicy, cache: Cache) -> Predicted | None:
    """What `predicted` measured earlier, if it did."""
    content = Store(cache.folder).read_json(_key(model, policy))
    return Predicted(content["agreement"], content["how"]) if content else None


def with_agreement(levels: Sequence[Level], model: TrainedModel, cache: Cache, measure: bool = False) -> list[Level]:
    """The published levels with their agreement where it is known, or everywhere if it is to be measured."""
    return [_with(level, model, cache, measure) for level in levels]


def _with(level: Level, model: TrainedModel, cache: Cache, measure: bool) -> Level:
    if model.compression is not None:
        return level
    if level.factor == 1:
        return replace(level, agreement=1.0)
    policy = Relative(level.factor)
    found = predicted(model, policy, cache) if measure else known(model, policy, cache)
    return replace(level, agreement=None if found is None else found.agreement)


def _key(model: TrainedModel, policy: RankPolicy) -> str:
    return f"agreement {model.fingerprint} {policy.settings} {_SEEDS} {_PATCHES_EACH} {_VOXELS}"


def _measured(model: TrainedModel, policy: RankPolicy, cache: Cache) -> Predicted:
    if model.num_input_channels != 1:
        raise InputError(f"{model.name} takes {model.num_input_channels} channels, and a phantom has one.")
    each = max(1, min(_PATCHES_EACH, _VOXELS // len(_SEEDS) // math.prod(model.patch_size)))
    patches = patches_of(model, [phantom(seed).image for seed in _SEEDS], each * len(_SEEDS))
    small, _ = level_of(model, policy, cache)
    ours, theirs = _labels(model, patches), _labels(small, patches)
    # `patches_of` takes the volumes in turn.
    values = [mean_dice(ours[number :: len(_SEEDS)], theirs[number :: len(_SEEDS)]) for number in range(len(_SEEDS))]
    return Predicted(float(np.mean(values)), f"{len(patches)} patches of {len(_SEEDS)} phantoms")


@torch.inference_mode()
def _labels(model: TrainedModel, patches: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]:
    """(N, *patch): the output that scores highest, the folds' scores added up."""
    scores: list[Tensor] = []
    network = model.network_without_data().eval()
    for weights in model.load_weights():
        network.load_state_dict(weights, assign=True)
        answers = [network(one[None])[0] for one in patches]
        scores = [a + b for a, b in zip(scores, answers, strict=True)] if scores else answers
    return np.stack([one.argmax(0).numpy().astype(np.uint16) for one in scores])

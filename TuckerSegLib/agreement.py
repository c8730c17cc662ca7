"""How much of the original network's answer a level will give, measured on phantoms before anyone segments."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from .cache import Cache
from .engines.store import Store
from .errors import InputError
from .evaluation import Labels, mean_dice
from .levels import Level
from .models.nnunet import TrainedModel
from .models.sample import phantom
from .pipeline import make_ready, run
from .ranks import RankPolicy, Relative

_SEEDS = range(2004, 2008)
"""Phantoms that neither training nor calibration uses."""
_STEP = 0.75
"""How far patches lie apart, as a share of their size: further than when segmenting, to save time."""


@dataclass(frozen=True)
class Predicted:
    """Mean Dice with the original network's label maps, and how it was obtained."""

    agreement: float
    how: str


def predicted(model: TrainedModel, policy: RankPolicy, cache: Cache | None = None) -> Predicted:
    """Measured the first time, on phantoms; from the cache's folder after that.

    Raises:
        InputError: the model takes more than one channel.
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
    return f"agreement {model.fingerprint} {policy.settings} {_SEEDS} {_STEP}"


def _measured(model: TrainedModel, policy: RankPolicy, cache: Cache) -> Predicted:
    if model.num_input_channels != 1:
        raise InputError(f"{model.name} takes {model.num_input_channels} channels, and a phantom has one.")
    originals, small = _originals(model, cache), make_ready(model, policy, cache=cache, engine="auto")
    values = [
        mean_dice(original, run(small, phantom(seed).image, step=_STEP).label_map.labels)
        for seed, original in zip(_SEEDS, originals, strict=True)
    ]
    return Predicted(float(np.mean(values)), f"{len(_SEEDS)} phantoms")


def _originals(model: TrainedModel, cache: Cache) -> list[Labels]:
    """The original network's label maps of the phantoms, kept for the other levels."""
    store, key = Store(cache.folder), f"phantoms {model.fingerprint} {_SEEDS} {_STEP}"
    kept = store.read(key)
    if kept is not None:
        with np.load(io.BytesIO(kept)) as found:
            return list(found.values())
    ready = make_ready(model, cache=cache, engine="auto")
    made = [run(ready, phantom(seed).image, step=_STEP).label_map.labels for seed in _SEEDS]
    content = io.BytesIO()
    np.savez_compressed(content, *made)
    store.write(key, content.getvalue())
    return made

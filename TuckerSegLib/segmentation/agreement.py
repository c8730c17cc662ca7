"""How much of the original network's answer a level gives, measured on phantoms before anyone segments.

The phantoms are whole, and nothing was trained, fitted or chosen on them, so that nothing flatters a level.
`tuckerseg evaluate --expected` shows how near this comes to the agreement on other phantoms.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from ..decomposition.policies import Relative, Settings
from ..engines.fastest import Choice, choice
from ..errors import InputError
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..store import Store
from ..volumes.dice import Labels, mean_dice
from ..volumes.phantoms import seeds
from ..volumes.phantoms.phantom import phantom
from .levels import Level
from .one_model import run
from .prepare import PreparedModel, prepare
from .recipes import ORIGINAL, Prescribed

_STEP = 0.75
"""How far patches lie apart, as a share of their size: further than when segmenting, to save time."""


@dataclass(frozen=True)
class Predicted:
    """Mean Dice with the original network's label maps, and how it was obtained."""

    agreement: float
    how: str


def predicted(
    model: TrainedModel, settings: Settings, prepared: Callable[[], PreparedModel], cache: Cache
) -> Predicted:
    """The agreement of the level of `model` that was made with `settings`.

    It is measured the first time, with the networks that `prepared` gives, and kept in the cache's folder.

    Raises:
        InputError: the model takes more than one channel.
    """
    found = known(model, settings, cache)
    if found is None:
        found = _measured(model, prepared, cache)
        Store(cache.folder).write_json(_key(model, settings), asdict(found))
    return found


def known(model: TrainedModel, settings: Settings, cache: Cache) -> Predicted | None:
    """What `predicted` measured earlier; None where it did not."""
    content = Store(cache.folder).read_json(_key(model, settings))
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
    prepared = partial(prepare, model, Prescribed(policy), _fastest(cache), cache)
    found = predicted(model, policy.settings, prepared, cache) if measure else known(model, policy.settings, cache)
    return replace(level, agreement=None if found is None else found.agreement)


def _fastest(cache: Cache) -> Choice:
    return choice("auto", "auto", Store(cache.folder))


def _key(model: TrainedModel, settings: Settings) -> str:
    return f"agreement {model.fingerprint} {settings} {seeds.AGREEMENT} {_STEP}"


def _measured(model: TrainedModel, prepared: Callable[[], PreparedModel], cache: Cache) -> Predicted:
    if model.num_input_channels != 1:
        raise InputError(f"{model.name} takes {model.num_input_channels} channels, and a phantom has one.")
    originals, small = _originals(model, cache), prepared()
    values = [
        mean_dice(original, run(small, phantom(seed).image, step=_STEP).label_map.labels)
        for seed, original in zip(seeds.AGREEMENT, originals, strict=True)
    ]
    return Predicted(float(np.mean(values)), f"{len(seeds.AGREEMENT)} phantoms")


def _originals(model: TrainedModel, cache: Cache) -> list[Labels]:
    """The original network's label maps of the phantoms, kept for the other levels."""
    store, key = Store(cache.folder), f"phantoms {model.fingerprint} {seeds.AGREEMENT} {_STEP}"
    kept = store.read(key)
    if kept is not None:
        with np.load(io.BytesIO(kept)) as found:
            return list(found.values())
    prepared = prepare(model, ORIGINAL, _fastest(cache), cache)
    made = [run(prepared, phantom(seed).image, step=_STEP).label_map.labels for seed in seeds.AGREEMENT]
    content = io.BytesIO()
    np.savez_compressed(content, *made)
    store.write(key, content.getvalue())
    return made

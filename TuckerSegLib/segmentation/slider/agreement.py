"""What a level is expected to be worth, measured on phantoms before anyone segments: agreement, and where it errs.

The phantoms are whole, and nothing was trained, fitted or chosen on them, so that nothing flatters a level. Samples are
shipped with what was measured for their levels. `tuckerseg evaluate --expected` shows how near the agreement comes to
that on other phantoms; where a level errs is what its check on a scan begins with.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...decomposition.policies import Relative, Settings
from ...engines.fastest import Choice, choice
from ...errors import InputError
from ...inference.check.learning import Example, examples, learnt
from ...inference.check.original import Original
from ...inference.check.reliability import Reliability
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...models.sample import shipped
from ...progress import Progress
from ...store import Store
from ...volumes.phantoms import seeds
from ...volumes.phantoms.phantom import phantom
from ..prepare import PreparedModel, prepare
from ..recipes import ORIGINAL, Balanced
from .calibrations import Calibrations
from .levels import Level, levels
from .positions import known_positions, positions, settings_of

FILE = "expected.json"
"""The name that a sample's expectations have beside it."""


@dataclass(frozen=True)
class Expected:
    """Mean Dice with the original network's label maps, how it was obtained, and how often the level errs where."""

    agreement: float
    how: str
    reliability: Reliability

    def as_json(self) -> dict[str, Any]:
        return {"agreement": self.agreement, "how": self.how, "reliability": self.reliability.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Expected":
        return cls(content["agreement"], content["how"], Reliability.from_json(content["reliability"]))


class Expectations:
    """What the levels of `model`, an original one, are expected to be worth; kept in the folder of `cache`."""

    def __init__(self, model: TrainedModel, cache: Cache) -> None:
        self._model, self._cache, self._store = model, cache, Store(cache.folder)

    def known(self, settings: Settings) -> Expected | None:
        """What was measured of the level made with `settings`, here or for a sample that was shipped; else None."""
        key = self._key(settings)
        content = self._store.read_json(key) or _shipped(key)
        return Expected.from_json(content) if content else None

    def measured(self, settings: Settings, prepared: Callable[[], PreparedModel]) -> Expected:
        """What is `known`, or measured now with the networks that `prepared` gives.

        Raises:
            InputError: the model takes more than one channel.
        """
        found = self.known(settings)
        if found is None:
            level, known = prepared(), self._examples
            network = Original(level.networks, level.head)
            seen = learnt(self._model, network, known, device=level.device)
            found = Expected(seen.agreement, f"{len(known)} phantoms", seen.reliability)
            self._store.write_json(self._key(settings), found.as_json())
        return found

    def write(self, every: Sequence[Settings], path: Path) -> None:
        """Write what is known of levels, to be shipped beside a sample."""
        found = {self._key(settings): self.known(settings) for settings in every}
        content = {key: expected.as_json() for key, expected in found.items() if expected}
        path.write_text(json.dumps(content), encoding="utf-8")

    def _key(self, settings: Settings) -> str:
        return f"expected {self._model.fingerprint} {dict(settings)} {seeds.AGREEMENT}"

    @cached_property
    def _examples(self) -> list[Example]:
        if self._model.num_input_channels != 1:
            raise InputError(
                f"{self._model.name} takes {self._model.num_input_channels} channels, and a phantom has one."
            )
        original = prepare(self._model, ORIGINAL, _fastest(self._cache), self._cache)
        images = [phantom(seed).image for seed in seeds.AGREEMENT]
        return examples(self._model, Original(original.networks, original.head), images, device=original.device)


def _shipped(key: str) -> Mapping[str, Any] | None:
    contents = (json.loads(file.read_text(encoding="utf-8")) for file in shipped(FILE))
    return next((content[key] for content in contents if key in content), None)


def levels_with_agreement(model: TrainedModel, cache: Cache, measure: bool = False) -> list[Level]:
    """The levels that run on this computer with their agreement as far as it is known.

    With `measure` a model is prepared that was not yet, and every level's agreement is measured.
    """
    engines = _fastest(cache)
    if model.compression is not None:
        return levels(model)
    calibrations = Calibrations(model, cache)
    if measure:
        calibrations.gather(Progress())
    learnt = calibrations.learnt() if calibrations.known() else None
    found = learnt and (positions if measure else known_positions)(model, learnt, engines)
    if not learnt or not found:
        return [replace(level, agreement=1.0 if level.factor == 1 else None) for level in levels(model)]
    expectations = Expectations(model, cache)
    return [
        _with(level, model, settings_of(position.factor, position.ranks, learnt), expectations, cache, measure)
        for level, position in zip(levels(model, positions=found), found, strict=True)
    ]


def _with(
    level: Level, model: TrainedModel, settings: Settings, expectations: Expectations, cache: Cache, measure: bool
) -> Level:
    if level.parameters_removed == 0:
        return replace(level, agreement=1.0)
    recipe = Balanced(Relative(level.factor), cache)
    prepared = partial(prepare, model, recipe, _fastest(cache), cache)
    found = expectations.measured(settings, prepared) if measure else expectations.known(settings)
    return replace(level, agreement=None if found is None else found.agreement)


def _fastest(cache: Cache) -> Choice:
    return choice("auto", "auto", Store(cache.folder))

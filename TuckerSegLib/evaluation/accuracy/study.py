"""What compression costs in accuracy: a model at some levels and policies, beside the truth or the original."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ...decomposition.counting import count_parameters
from ...decomposition.policies import RankPolicy
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...segmentation.agreement import predicted
from ...segmentation.one_model import run
from ...segmentation.prepare import ORIGINAL, Ready, make_ready
from ...volumes.dice import mean_dice
from ...volumes.output import whole_file
from ...volumes.volume import LabelMap
from .baselines import Baseline
from .cases import Case, _check_grid
from .outcomes import Level, Study, _by_class, _Found, _outcome
from .scores import Score, scores

Told = Callable[[str, int, int], None]
"""Called with what comes next, and the number of (level, case) pairs done and in all."""


def study(
    model: TrainedModel,
    cases: Sequence[Case],
    levels: Sequence[Level],
    *,
    cache: Cache | None = None,
    step: float = 0.5,
    device: str = "auto",
    engine: str = "torch",
    kept: Path | None = None,
    expected: bool = False,
    told: Told | None = None,
) -> Study:
    """Segment every case at every level and compare with the truth; patches lie `step` of their size apart.

    What is found of each case stays in the folder `kept`, if there is one, and is not measured again from there. Where
    `expected` is wanted, the agreement that a level is said to have is measured as well, unless it is known.

    Raises:
        InputError: an image or label map cannot be used, or a label map does not lie on its image's grid.
        OutputError: `kept` cannot be written to.
    """
    every = [Level("original", 1.0, ORIGINAL), *levels]
    cache = cache or Cache()
    networks = _Networks(model, every, cache, device, engine)
    known: dict[str, list[_Found]] = {}
    for number, case in enumerate(cases):
        path = kept and kept / f"{case.name}.json"
        keys = [_key(model, case, level, step, engine) for level in every]
        found = _read(path)
        if not all(key in found for key in keys):
            image, truth = case.load()
            if truth:
                _check_grid(case.name, image, truth)
            reference: LabelMap | None = None
            for index, (level, key) in enumerate(zip(every, keys, strict=True)):
                if told:
                    told(f"{case.name}, {level.title}", number * len(every) + index, len(cases) * len(every))
                if key in found and reference is not None:
                    continue
                result = run(networks.ready(index), image, step=step)
                reference = reference or result.label_map
                found[key] = _Found(
                    *networks.costs(index),
                    mean_dice(reference.labels, result.label_map.labels),
                    sum(result.seconds.values()),
                    scores(truth or reference, result.label_map),
                )
                _write(path, found)
        known[case.name] = [found[key] for key in keys]
    by_level = [{name: found[index] for name, found in known.items()} for index in range(len(every))]
    reference_scores = _by_class(by_level[0], model.labels)
    before: list[float | None] = [1.0 if expected else None, *(None for _ in levels)]
    for index, level in enumerate(levels if expected else [], start=1):
        if told:
            told(f"expected agreement, {level.title}", len(cases) * len(every), len(cases) * len(every))
        before[index] = predicted(model, level.policy.settings, partial(networks.ready, index), cache).agreement
    outcomes = [
        _outcome(level, found, told_before, reference_scores, model.labels)
        for level, found, told_before in zip(every, by_level, before, strict=True)
    ]
    return Study(model.name, [case.name for case in cases], model.labels, outcomes)


class _Networks:
    """The levels' networks, each made when it is first needed."""

    def __init__(self, model: TrainedModel, levels: Sequence[Level], cache: Cache, device: str, engine: str) -> None:
        self._model, self._levels, self._cache, self._device, self._engine = model, levels, cache, device, engine
        self._made: dict[int, tuple[Ready, int, int]] = {}

    def ready(self, index: int) -> Ready:
        return self._get(index)[0]

    def costs(self, index: int) -> tuple[int, int]:
        """Parameters and bytes."""
        return self._get(index)[1:]

    def _get(self, index: int) -> tuple[Ready, int, int]:
        if index not in self._made:
            self._made[index] = self._make(self._levels[index].policy)
        return self._made[index]

    def _make(self, policy: RankPolicy | Baseline) -> tuple[Ready, int, int]:
        if isinstance(policy, Baseline):
            reduced = policy.reduced(self._model)
            return self._prepared(reduced.model, ORIGINAL), reduced.parameters, reduced.size
        ready = self._prepared(self._model, policy)
        parameters = count_parameters(ready.level.network_without_data())
        return ready, parameters, 4 * parameters

    def _prepared(self, model: TrainedModel, policy: RankPolicy) -> Ready:
        return make_ready(model, policy, cache=self._cache, device=self._device, engine=self._engine)


def _key(model: TrainedModel, case: Case, level: Level, step: float, engine: str) -> str:
    """What a result depends on."""
    content = [model.fingerprint, case.name, level.policy.settings, step, engine]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: Path | None) -> dict[str, _Found]:
    if path is None or not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        return {
            key: _Found(**{**found, "scores": [Score(**one) for one in found["scores"]]})
            for key, found in content.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(path: Path | None, found: Mapping[str, _Found]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(json.dumps({key: asdict(one) for key, one in found.items()}))

"""What compression costs in accuracy: a model at some levels and policies, beside the truth or the original."""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .agreement import predicted
from .baselines import Baseline, Reduced
from .cache import Cache
from .compression import count_parameters
from .errors import InputError
from .evaluation import Difference, Score, differences, mean_dice, scores, smallest_p
from .io import read_volume
from .models import open_model
from .models.nnunet import TrainedModel, digest
from .models.sample import phantom
from .output import whole_file
from .pipeline import ORIGINAL, Ready, make_ready, run
from .ranks import RankPolicy, Settings
from .volume import LabelMap, Volume

EVIDENCE = 0.05
"""A corrected p below this counts as evidence of a difference."""

Told = Callable[[str, int, int], None]
"""Called with what comes next, and the number of (level, case) pairs done and in all."""


@dataclass(frozen=True)
class Case:
    """An image and its truth on one grid; where none is known, it is what the original network answers."""

    name: str
    load: Callable[[], tuple[Volume, LabelMap | None]]


@dataclass(frozen=True)
class Level:
    """A policy, or what it is compared with, under the name it has in the tables, and its factor if it has one."""

    name: str
    factor: float | None
    policy: RankPolicy | Baseline

    @property
    def title(self) -> str:
        """The name and the factor."""
        return self.name if self.factor is None else f"{self.name} {self.factor:g}"


@dataclass(frozen=True)
class Existing:
    """A compressed network that is there already, such as a trained one. Its weights are part of its settings."""

    level: TrainedModel
    settings: Settings

    def reduced(self, model: TrainedModel) -> Reduced:
        parameters = count_parameters(self.level.network_without_data())
        return Reduced(self.level, parameters, 4 * parameters)


def existing(file: Path, original: TrainedModel) -> Level:
    """The compressed network in a `.tuckerseg` file, under the file's name.

    Raises:
        ModelError: the file cannot be read.
        InputError: it was not made from `original`.
    """
    level = open_model(file)
    if level.compression is None or level.fingerprint != original.fingerprint:
        raise InputError(f"{file} was not made from {original.name}: name a .tuckerseg file that was.")
    recorded = dict(level.compression.policy)
    factor = recorded.get("factor")
    weights = " ".join(digest(fold) for fold in level.load_weights())
    return Level(
        file.stem, None if factor is None else float(factor), Existing(level, {**recorded, "weights": weights})
    )


@dataclass(frozen=True)
class Outcome:
    """One level over all cases. `agreement` is the mean Dice with the original network's own label maps.

    `expected` is that mean as it was measured before, on other phantoms (`agreement`), where it was.

    `size` are bytes of the weights, `seconds` those of all cases together.

    `mean_dice` is over classes, of each class's mean over the cases that show it. `differences` are to the original,
    by class.
    """

    level: Level
    parameters: int
    size: int
    scores: Mapping[str, Sequence[Score]]
    mean_dice: float
    mean_surface_dice: float
    agreement: float
    expected: float | None
    seconds: float
    differences: Mapping[str, Difference]

    @property
    def without_evidence(self) -> int:
        """Classes without evidence of a difference to the original."""
        return sum(d.corrected >= EVIDENCE for d in self.differences.values())


Columns = dict[str, Callable[[Outcome], str]]
"""By its heading, what a column shows of an outcome."""


@dataclass(frozen=True)
class Study:
    """All outcomes, the original's first, with the structures' names by label."""

    model: str
    cases: Sequence[str]
    names: Mapping[int, str]
    outcomes: Sequence[Outcome]

    @property
    def compared(self) -> list[Outcome]:
        """The levels whose agreement was known before."""
        return [outcome for outcome in self.outcomes[1:] if outcome.expected is not None]

    @property
    def expected_error(self) -> float | None:
        """How far the expected agreement is from the one that was found, on average over levels."""
        errors = [
            abs(outcome.expected - outcome.agreement) for outcome in self.compared if outcome.expected is not None
        ]
        return float(np.mean(errors)) if errors else None

    def as_json(self) -> dict[str, object]:
        return {
            "model": self.model,
            "cases": list(self.cases),
            "smallest_p": smallest_p(len(self.cases)),
            "expected_agreement_error": self.expected_error,
            "results": [self._result(outcome) for outcome in self.outcomes],
        }

    def _result(self, outcome: Outcome) -> dict[str, object]:
        return {
            "policy": outcome.level.name,
            "factor": outcome.level.factor,
            "settings": dict(outcome.level.policy.settings),
            "parameters": outcome.parameters,
            "bytes": outcome.size,
            "mean_dice": outcome.mean_dice,
            "mean_surface_dice": outcome.mean_surface_dice,
            "agreement": outcome.agreement,
            "expected_agreement": outcome.expected,
            "seconds": outcome.seconds,
            "classes": len(outcome.differences),
            "classes_without_evidence_of_difference": outcome.without_evidence,
            "differences": {name: asdict(difference) for name, difference in outcome.differences.items()},
        }


def phantoms(first: int, last: int) -> list[Case]:
    """The phantoms of the seeds from `first` to `last`, both included."""

    def load(seed: int) -> Callable[[], tuple[Volume, LabelMap | None]]:
        def made() -> tuple[Volume, LabelMap | None]:
            one = phantom(seed)
            return one.image, one.truth

        return made

    return [Case(f"phantom {seed}", load(seed)) for seed in range(first, last + 1)]


def cases_in(images: Path, labels: Path | None = None) -> list[Case]:
    """Every file in `images` with the label map of the same name in `labels`; nnU-Net's ending _0000 is left out.

    Without `labels`, the original network's own answers are the truth.

    Raises:
        InputError: there is no such folder, no image, or an image without a label map.
    """
    for folder in filter(None, (images, labels)):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: name the folders of the images and of their label maps.")
    files = sorted(file for file in images.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise InputError(f"There is no image in {images}: choose another folder.")
    return [_case(file, labels and labels / file.name.replace("_0000.", ".")) for file in files]


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


@dataclass(frozen=True)
class _Found:
    """One level on one case."""

    parameters: int
    size: int
    agreement: float
    seconds: float
    scores: Sequence[Score]


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


def columns(study: Study, weights: Columns, further: Columns | None = None) -> Columns:
    """What a table of a study shows of each outcome: `weights` is their size, `further` comes near the end."""
    expected: Columns = {"Expected": lambda o: "" if o.expected is None else f"{o.expected:.3f}"}
    return {
        "Policy": lambda o: o.level.name,
        "Factor": lambda o: "" if o.level.factor is None else f"{o.level.factor:g}",
        "Parameters": lambda o: f"{o.parameters:,}",
        **weights,
        "Dice": lambda o: f"{o.mean_dice:.3f}",
        "NSD 3 mm": lambda o: f"{o.mean_surface_dice:.3f}",
        "Agreement": lambda o: f"{o.agreement:.3f}",
        **(expected if study.compared else {}),
        **(further or {}),
        "No evidence of a difference": lambda o: f"{o.without_evidence} of {len(o.differences)}",
    }


def write(study: Study, folder: Path) -> None:
    """`scores.csv`, a row for each structure of each case at each level, and `results.json`, into `folder`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with whole_file(folder / "results.json") as partial:
        partial.write_text(json.dumps(study.as_json(), indent=2) + "\n")
    with whole_file(folder / "scores.csv") as partial, partial.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        rows.writerows(_rows(study))


_COLUMNS = (
    "policy", "factor", "case", "structure", "dice", "surface_dice_3mm", "hausdorff95_mm", "reference_ml", "ml",
)  # fmt: skip


def _rows(study: Study) -> Iterator[tuple[object, ...]]:
    for outcome in study.outcomes:
        for case, scored in outcome.scores.items():
            for score in scored:
                measured = asdict(score)
                name = study.names.get(measured.pop("label"), "")
                yield outcome.level.name, outcome.level.factor, case, name, *measured.values()


def _case(image: Path, label_map: Path | None) -> Case:
    if label_map is None:
        return Case(f"{image.name} beside the original", lambda: (read_volume([image]), None))
    if not label_map.is_file():
        raise InputError(f"There is no label map {label_map} for {image.name}: add it, or take the image away.")
    return Case(label_map.name, lambda: (read_volume([image]), _label_map(label_map)))


def _label_map(path: Path) -> LabelMap:
    read = read_volume([path])
    if read.voxels.min() < 0 or not np.array_equal(read.voxels, np.rint(read.voxels)):
        raise InputError(f"{path} holds numbers that are no labels: choose a label map.")
    return LabelMap(read.voxels[0].astype(np.uint16), read.geometry)


def _check_grid(name: str, image: Volume, truth: LabelMap) -> None:
    same = np.allclose(image.geometry.ijk_to_ras, truth.geometry.ijk_to_ras, rtol=0, atol=1e-3)
    if image.geometry.shape != truth.geometry.shape or not same:
        raise InputError(f"The label map of {name} does not lie on its image's grid: resample it.")


def _by_class(found: Mapping[str, _Found], names: Mapping[int, str]) -> dict[str, list[Score]]:
    classes: dict[str, list[Score]] = {}
    for case in found.values():
        for score in case.scores:
            if score.label in names:
                classes.setdefault(names[score.label], []).append(score)
    return classes


def _outcome(
    level: Level,
    found: Mapping[str, _Found],
    expected: float | None,
    reference: Mapping[str, Sequence[Score]],
    names: Mapping[int, str],
) -> Outcome:
    classes = _by_class(found, names)
    changes = differences(
        {name: [s.dice for s in scored] for name, scored in reference.items()},
        {name: [s.dice for s in scored] for name, scored in classes.items()},
    )
    cases = list(found.values())
    return Outcome(
        level,
        cases[0].parameters,
        cases[0].size,
        {name: one.scores for name, one in found.items()},
        _mean(np.mean([s.dice for s in scored]) for scored in classes.values()),
        _mean(np.mean([s.surface_dice for s in scored]) for scored in classes.values()),
        float(np.mean([one.agreement for one in cases])),
        expected,
        sum(one.seconds for one in cases),
        changes,
    )


def _mean(values: Iterator[np.floating]) -> float:
    found = [float(value) for value in values]
    return float(np.mean(found)) if found else math.nan

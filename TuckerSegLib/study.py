"""What compression costs in accuracy: a model at some levels and policies on cases whose truth is known."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .cache import Cache
from .compression import count_parameters
from .errors import InputError
from .evaluation import Difference, Score, differences, mean_dice, scores, smallest_p
from .io import read_volume
from .models.nnunet import TrainedModel
from .models.sample import phantom
from .output import whole_file
from .pipeline import ORIGINAL, Ready, make_ready, run
from .ranks import RankPolicy
from .volume import LabelMap, Volume

EVIDENCE = 0.05
"""A corrected p below this counts as evidence of a difference."""

Told = Callable[[str, int, int], None]
"""Called with what comes next, and the number of (level, case) pairs done and in all."""


@dataclass(frozen=True)
class Case:
    """An image and its truth on one grid."""

    name: str
    load: Callable[[], tuple[Volume, LabelMap]]


@dataclass(frozen=True)
class Level:
    """A policy under the name it has in the tables, and its factor."""

    name: str
    factor: float
    policy: RankPolicy


@dataclass(frozen=True)
class Outcome:
    """One level over all cases. `agreement` is the mean Dice with the original network's own label maps.

    `mean_dice` is over classes, of each class's mean over the cases that show it. `differences` are to the original,
    by class.
    """

    level: Level
    parameters: int
    scores: Mapping[str, Sequence[Score]]
    mean_dice: float
    mean_surface_dice: float
    agreement: float
    seconds: float
    differences: Mapping[str, Difference]

    @property
    def without_evidence(self) -> int:
        """Classes without evidence of a difference to the original."""
        return sum(d.corrected >= EVIDENCE for d in self.differences.values())


@dataclass(frozen=True)
class Study:
    """All outcomes, the original's first, with the structures' names by label."""

    model: str
    cases: Sequence[str]
    names: Mapping[int, str]
    outcomes: Sequence[Outcome]

    def as_json(self) -> dict[str, object]:
        return {
            "model": self.model,
            "cases": list(self.cases),
            "smallest_p": smallest_p(len(self.cases)),
            "results": [self._result(outcome) for outcome in self.outcomes],
        }

    def _result(self, outcome: Outcome) -> dict[str, object]:
        return {
            "policy": outcome.level.name,
            "factor": outcome.level.factor,
            "settings": dict(outcome.level.policy.settings),
            "parameters": outcome.parameters,
            "mean_dice": outcome.mean_dice,
            "mean_surface_dice": outcome.mean_surface_dice,
            "agreement": outcome.agreement,
            "seconds": outcome.seconds,
            "classes": len(outcome.differences),
            "classes_without_evidence_of_difference": outcome.without_evidence,
            "differences": {name: asdict(difference) for name, difference in outcome.differences.items()},
        }


def phantoms(first: int, last: int) -> list[Case]:
    """The phantoms of the seeds from `first` to `last`, both included."""

    def load(seed: int) -> Callable[[], tuple[Volume, LabelMap]]:
        def made() -> tuple[Volume, LabelMap]:
            one = phantom(seed)
            return one.image, one.truth

        return made

    return [Case(f"phantom {seed}", load(seed)) for seed in range(first, last + 1)]


def cases_in(images: Path, labels: Path) -> list[Case]:
    """Every file in `images` with the label map of the same name in `labels`; nnU-Net's ending _0000 is left out.

    Raises:
        InputError: there is no such folder, no image, or an image without a label map.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: name the folders of the images and of their label maps.")
    files = sorted(file for file in images.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise InputError(f"There is no image in {images}: choose another folder.")
    return [_case(file, labels / file.name.replace("_0000.", ".")) for file in files]


def study(
    model: TrainedModel,
    cases: Sequence[Case],
    levels: Sequence[Level],
    *,
    cache: Cache | None = None,
    step: float = 0.5,
    device: str = "auto",
    told: Told | None = None,
) -> Study:
    """Segment every case at every level and compare with the truth; patches lie `step` of their size apart.

    Raises:
        InputError: an image or label map cannot be used, or a label map does not lie on its image's grid.
    """
    every = [Level("original", 1.0, ORIGINAL), *levels]
    ready = [make_ready(model, level.policy, cache=cache, device=device) for level in every]
    found: list[dict[str, list[Score]]] = [{} for _ in every]
    agreements: list[list[float]] = [[] for _ in every]
    seconds = [0.0 for _ in every]
    for number, case in enumerate(cases):
        image, truth = case.load()
        _check_grid(case.name, image, truth)
        first: LabelMap | None = None
        for index, level in enumerate(every):
            if told:
                told(
                    f"{case.name}, {level.name} {level.factor:g}", number * len(every) + index, len(cases) * len(every)
                )
            result = run(ready[index], image, step=step)
            first = first or result.label_map
            found[index][case.name] = scores(truth, result.label_map)
            agreements[index].append(mean_dice(first.labels, result.label_map.labels))
            seconds[index] += sum(result.seconds.values())
    reference = _by_class(found[0], model.labels)
    outcomes = [
        _outcome(level, made, scored, reference, np.mean(agreed), spent, model.labels)
        for level, made, scored, agreed, spent in zip(every, ready, found, agreements, seconds, strict=True)
    ]
    return Study(model.name, [case.name for case in cases], model.labels, outcomes)


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


def _case(image: Path, label_map: Path) -> Case:
    if not label_map.is_file():
        raise InputError(f"There is no label map {label_map} for {image.name}: add it, or take the image away.")

    def load() -> tuple[Volume, LabelMap]:
        read = read_volume([label_map])
        if read.voxels.min() < 0 or not np.array_equal(read.voxels, np.rint(read.voxels)):
            raise InputError(f"{label_map} holds numbers that are no labels: choose a label map.")
        return read_volume([image]), LabelMap(read.voxels[0].astype(np.uint16), read.geometry)

    return Case(label_map.name, load)


def _check_grid(name: str, image: Volume, truth: LabelMap) -> None:
    same = np.allclose(image.geometry.ijk_to_ras, truth.geometry.ijk_to_ras, rtol=0, atol=1e-3)
    if image.geometry.shape != truth.geometry.shape or not same:
        raise InputError(f"The label map of {name} does not lie on its image's grid: resample it.")


def _by_class(scored: Mapping[str, Sequence[Score]], names: Mapping[int, str]) -> dict[str, list[Score]]:
    classes: dict[str, list[Score]] = {}
    for case in scored.values():
        for score in case:
            if score.label in names:
                classes.setdefault(names[score.label], []).append(score)
    return classes


def _outcome(
    level: Level,
    ready: Ready,
    scored: Mapping[str, Sequence[Score]],
    reference: Mapping[str, Sequence[Score]],
    agreement: np.floating,
    seconds: float,
    names: Mapping[int, str],
) -> Outcome:
    classes = _by_class(scored, names)
    changes = differences(
        {name: [s.dice for s in found] for name, found in reference.items()},
        {name: [s.dice for s in found] for name, found in classes.items()},
    )
    return Outcome(
        level,
        count_parameters(ready.level.network_without_data()),
        scored,
        _mean(np.mean([s.dice for s in found]) for found in classes.values()),
        _mean(np.mean([s.surface_dice for s in found]) for found in classes.values()),
        float(agreement),
        seconds,
        changes,
    )


def _mean(values: Iterator[np.floating]) -> float:
    found = [float(value) for value in values]
    return float(np.mean(found)) if found else math.nan

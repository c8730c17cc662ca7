"""What a study finds of each level."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...decomposition.counting import count_parameters
from ...decomposition.policies import RankPolicy, Settings
from ...errors import InputError
from ...models.nnunet import TrainedModel, digest
from ...models.opening import open_model
from .baselines import Baseline, Reduced
from .scores import Score
from .statistics import Difference, differences, smallest_p

EVIDENCE = 0.05
"""A corrected p below this counts as evidence of a difference."""


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


@dataclass(frozen=True)
class _Found:
    """One level on one case."""

    parameters: int
    size: int
    agreement: float
    seconds: float
    scores: Sequence[Score]


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

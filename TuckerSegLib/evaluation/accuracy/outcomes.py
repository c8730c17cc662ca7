"""What a study finds of each candidate, over all cases."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .candidates import Candidate
from .kept import Found
from .scores import Score
from .statistics import Difference, differences, smallest_p

EVIDENCE = 0.05
"""A corrected p below this counts as evidence of a difference."""


@dataclass(frozen=True)
class Outcome:
    """One candidate over all cases.

    Attributes:
        size: bytes of the weights.
        mean_dice: over structures, of each structure's mean over the cases that show it; the surface Dice likewise.
        agreement: the mean Dice with the original network's own label maps.
        expected: that mean as it was measured before, on other phantoms; None where it was not.
        seconds: of all cases together.
        differences: to the original, by structure.
    """

    candidate: Candidate
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
        """Structures without evidence of a difference to the original."""
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
        """The candidates whose agreement was known before."""
        return [outcome for outcome in self.outcomes[1:] if outcome.expected is not None]

    @property
    def expected_error(self) -> float | None:
        """How far the expected agreement is from the one that was found, on average over candidates."""
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
            "policy": outcome.candidate.name,
            "factor": outcome.candidate.factor,
            "settings": dict(outcome.candidate.method.settings),
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


def by_structure(found: Mapping[str, Found], names: Mapping[int, str]) -> dict[str, list[Score]]:
    """The scores of each structure over the cases that show it."""
    structures: dict[str, list[Score]] = {}
    for case in found.values():
        for score in case.scores:
            if score.label in names:
                structures.setdefault(names[score.label], []).append(score)
    return structures


def outcome(
    candidate: Candidate,
    found: Mapping[str, Found],
    expected: float | None,
    reference: Mapping[str, Sequence[Score]],
    names: Mapping[int, str],
) -> Outcome:
    """What comes of a candidate's results, by case; `reference` are the original's scores by structure."""
    structures = by_structure(found, names)
    changes = differences(
        {name: [s.dice for s in scored] for name, scored in reference.items()},
        {name: [s.dice for s in scored] for name, scored in structures.items()},
    )
    cases = list(found.values())
    return Outcome(
        candidate,
        cases[0].parameters,
        cases[0].size,
        {name: one.scores for name, one in found.items()},
        _mean(np.mean([s.dice for s in scored]) for scored in structures.values()),
        _mean(np.mean([s.surface_dice for s in scored]) for scored in structures.values()),
        float(np.mean([one.agreement for one in cases])),
        expected,
        sum(one.seconds for one in cases),
        changes,
    )


def _mean(values: Iterator[np.floating]) -> float:
    found = [float(value) for value in values]
    return float(np.mean(found)) if found else math.nan

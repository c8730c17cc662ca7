"""What the check of a level's answer is worth: predicted beside true agreement, and what a promise keeps and costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..inference.check.scan import SMALLEST
from ..progress import PREPARING, Progress
from ..segmentation.request import Request
from ..segmentation.result import Segmentation
from ..segmentation.session import Session
from ..volumes.dice import mean_dice
from ..volumes.phantoms.phantom import phantom
from ..volumes.volume import LabelMap

NEAR = 0.02
"""A prediction that is off by no more than this is called near."""


@dataclass(frozen=True)
class Checks:
    """One level on one phantom.

    Attributes:
        original_dice, dice: mean Dice with the truth, of the original network's label map and of the level's, as every
            user gets it: with the original's answer on the patches that were checked.
        alone, expected, low, high: the agreement with the original network's label map as it is, and as it was told.
        kept: the agreement where `at_least` was asked for; None where the level is the original network.
        seconds: of the level without its check.
        check, promise: what the check took, and what keeping the promise took, in parts of those seconds.
        patches, promised: on how many patches the original ran in either, as parts of all.
    """

    factor: float
    seed: int
    original_dice: float
    dice: float
    alone: float
    expected: float
    low: float
    high: float
    kept: float
    seconds: float
    check: float
    promise: float
    patches: float
    promised: float


def checks(
    model: str,
    factors: Sequence[float],
    seeds: Sequence[int],
    at_least: float,
    engine: str = "auto",
    progress: Progress | None = None,
    session: Session | None = None,
) -> list[Checks]:
    """Every level on every phantom; levels that are the original network are left out.

    Raises:
        InputError: a factor, the agreement or the engine cannot be used.
        ModelError: there is no such model, or it cannot be used.
        Cancelled: `progress` was cancelled.
    """
    session, progress, found = session or Session(), progress or Progress(), []
    asked, runs = Request(model, engine=engine), len(seeds) * (2 * len(factors) + 1)
    for number, seed in enumerate(seeds):
        made = phantom(seed)
        image = made.image
        smallest = SMALLEST / (1000 * image.geometry.voxel_volume)
        parts = [progress.part(number * (2 * len(factors) + 1) + index, runs) for index in range(2 * len(factors) + 1)]
        original = session.segment(image, asked, parts.pop())
        for factor in factors:
            level = replace(asked, factor=factor)
            plain = session.segment(image, level, parts.pop())
            sure = session.segment(image, replace(level, at_least=at_least), parts.pop())
            if plain.check is not None:
                found.append(_compared(factor, seed, made.truth, (original, plain, sure), smallest))
    return found


def _compared(
    factor: float,
    seed: int,
    truth: LabelMap,
    runs: tuple[Segmentation, Segmentation, Segmentation],
    smallest: float,
) -> Checks:
    """Of the original network, of the level, and of the level with a promise."""
    original, plain, sure = runs
    told, promised, own = plain.check, sure.check, _seconds(plain)
    assert told is not None and promised is not None
    alone, kept = (mean_dice(original.label_map.labels, one.label_map.labels, smallest) for one in (plain, sure))
    original_dice, dice = (mean_dice(truth.labels, one.label_map.labels, smallest) for one in (original, plain))
    return Checks(
        factor,
        seed,
        original_dice,
        dice,
        alone,
        told.agreement,
        told.low,
        told.high,
        kept,
        own,
        told.seconds / own,
        promised.seconds / own,
        told.windows / told.count,
        promised.windows / promised.count,
    )


def _seconds(finished: Segmentation) -> float:
    return sum(seconds for stage, seconds in finished.seconds.items() if stage not in (*PREPARING, "check"))


def rows(found: Sequence[Checks], at_least: float) -> list[tuple[str, ...]]:
    """A row of text for each level: means over the phantoms, and how often a prediction is near and a promise kept."""
    made: list[tuple[str, ...]] = []
    for factor in dict.fromkeys(one.factor for one in found):
        every = [one for one in found if one.factor == factor]
        mean = {name: float(np.mean([getattr(one, name) for one in every])) for name in asdict(every[0])}
        near = sum(abs(one.expected - one.alone) <= NEAR for one in every)
        kept = sum(one.kept >= at_least for one in every)
        made.append(
            (
                f"{factor:g}",
                f"{mean['dice']:.3f}",
                f"{mean['original_dice'] - mean['dice']:.3f}",
                f"{mean['alone']:.3f}",
                f"{mean['expected']:.3f}",
                f"{near} of {len(every)}",
                f"{1 + mean['check']:.2f}",
                f"{mean['kept']:.3f}",
                f"{kept} of {len(every)}",
                f"{1 + mean['promise']:.2f}",
                f"{mean['promised']:.0%}",
            )
        )
    return made


def as_json(model: str, at_least: float, found: Sequence[Checks]) -> dict[str, Any]:
    return {"model": model, "at_least": at_least, "levels": [asdict(one) for one in found]}

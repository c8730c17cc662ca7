"""The original network on a few of one scan's patches: how good the compressed one's answer is, and a better one.

A few patches are checked, those where most of a structure may be lost first. What the two networks make of them
corrects what is known of the compressed one, from which the agreement on the whole scan follows. Where more is wanted,
more patches run through the original, until the agreement is reached or its answer is the original's everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from ...models.nnunet import TrainedModel
from ...progress import Progress
from .checked import POOR, Checked
from .original import Answers, Prepare
from .reliability import Array, Reliability
from .scan import Scan

_FEW = 2
"""Patches of a scan so small that one more run would cost as much as the original's."""

_AT_ONCE = 0.25
"""The part of the patches left that are run before asking again, at most."""


@dataclass(frozen=True)
class Wanted:
    """What a check begins with, and what it is to reach.

    Attributes:
        reliability: the compressed network's, as it was learnt on phantoms; `Reliability.unknown` where it was not.
        at_least: an agreement between 0 and 1 that the answer must have; None to take it as it is.
        untouched: whether the compressed network's own answer is wanted, also where the original ran; only without
            `at_least`.
    """

    reliability: Reliability
    at_least: float | None = None
    untouched: bool = False


def check(
    compressed: Answers,
    original: Prepare,
    data: Tensor,
    model: TrainedModel,
    wanted: Wanted,
    spacing: Sequence[float],
    *,
    device: torch.device,
    step: float = 0.5,
    progress: Progress | None = None,
) -> tuple[Answers, Checked]:
    """The answers for a preprocessed image `data` (C, *spatial) of this `spacing` (mm), and how good they are.

    Where the original network ran, its answers take the place of the compressed network's, seamlessly; where it ran
    everywhere, they are all that is left. `progress` is told of the stage "check".

    Raises:
        Cancelled: `progress` was cancelled; at the latest after the network's current call.
    """
    began, progress = perf_counter(), progress or Progress()
    progress.stage("check")
    scan = Scan(compressed, original, data, model, spacing, device, step, progress, wanted.untouched)
    before = wanted.reliability
    expected = scan.expected(scan.doubt(before))
    if len(scan.places) > _FEW or not before.known or expected.low < (wanted.at_least or POOR):
        scan.run(_spread(scan.losses(scan.doubt(before)), _count(len(scan.places))))
        expected = scan.expected(scan.doubt(before))
    while wanted.at_least is not None and expected.low < wanted.at_least and not scan.complete:
        scan.run(_worst(scan.losses(scan.doubt(before)), wanted.at_least - expected.low, scan.left))
        expected = scan.expected(scan.doubt(before))
    seconds = perf_counter() - began
    return scan.answers(), Checked(
        expected.agreement, expected.low, expected.high, len(scan.ran), len(scan.places), seconds
    )


def _count(patches: int) -> int:
    """Patches to check: 2 of 9, 3 of 27, 9 of 300."""
    return max(1, round(math.sqrt(patches) / 2 + 0.5))


def _spread(lost: Array, count: int) -> list[int]:
    """Patches in which much of many structures may be lost: each new one where the others say little."""
    seen, chosen = np.zeros(lost.shape[1]), list[int]()
    for _ in range(min(count, len(lost))):
        gain = (np.sqrt(seen + lost) - np.sqrt(seen)).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        seen += lost[chosen[-1]]
    return chosen


def _worst(lost: Array, wanted: float, left: int) -> list[int]:
    """Patches in which most of the Dice is lost, as many as make up for what is `wanted` of its mean."""
    structures = max(1, int((lost.sum(0) > 0).sum()))
    gains = lost.sum(1) / (2 * structures)
    order = np.argsort(-gains, kind="stable")[:left]
    needed = int(np.searchsorted(np.cumsum(gains[order]), wanted)) + 1
    return [int(index) for index in order[: max(1, min(needed, math.ceil(left * _AT_ONCE)))]]

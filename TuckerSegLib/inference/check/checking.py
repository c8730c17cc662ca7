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
from ..head import Head
from ..merged import Features, Merged, merged_head
from ..sliding_window import Network, SlidingWindow
from .expected_dice import Expected, expected_dice, known, losses
from .reliability import Array, Doubt, Reliability, doubt
from .sureness import Sureness, label_count, labels_on_grid, sureness

POOR = 0.9
"""An agreement below which a result is not handed over without a warning."""

_FEW = 2
"""Patches of a scan so small that one more run would cost as much as the original's."""

_AT_ONCE = 0.25
"""The part of the patches left that are run before asking again, at most."""


SMALLEST = 1000.0
"""Cubic millimetres that a structure has in one of the label maps, or its agreement does not count."""


@dataclass(frozen=True)
class Answers:
    """What a network or several give for an image: the features (F, *spatial), and the head that takes them."""

    features: Features
    head: Head


@dataclass(frozen=True)
class Original:
    """How the original network runs, on the device and the grid of the compressed one: as in `SlidingWindow`.

    Attributes:
        networks: one a fold.
        head: takes the features of all folds; None where they give scores.
    """

    networks: Sequence[Network]
    head: Head | None = None

    def whole_head(self, model: TrainedModel) -> Head:
        outputs = model.label_manager.num_segmentation_heads
        return self.head or Head.mean([Head.none(outputs)] * len(self.networks))


@dataclass(frozen=True)
class Wanted:
    """What a check begins with, and what it is to reach.

    Attributes:
        reliability: the compressed network's, as it was learnt on phantoms; `Reliability.unknown` where it was not.
        at_least: an agreement between 0 and 1 that the answer must have; None to take it as it is.
    """

    reliability: Reliability
    at_least: float | None = None


@dataclass(frozen=True)
class Checked:
    """How good the answer for a scan is.

    Attributes:
        agreement: the mean Dice with the original network's label map that is to be expected, over the structures
            that have at least a millilitre in one of the two.
        low, high: between which it lies nine times in ten.
        windows: on how many patches the original ran,
        count: of how many.
        seconds: what the check took.
    """

    agreement: float
    low: float
    high: float
    windows: int
    count: int
    seconds: float

    @property
    def basis(self) -> str:
        """What it is known from, in words."""
        if self.windows == self.count:
            return "it is the original network's own answer"
        patches = f"of this scan's {self.count} patches"
        if not self.windows:
            return f"expected from phantoms; the original network ran on none {patches}"
        return f"expected from the original network's answers on {self.windows} {patches}"


def check(
    compressed: Answers,
    original: Original,
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
    scan = _Scan(compressed, original, data, model, SlidingWindow(
        model, original.networks, device, progress, step, original.whole_head(model).features // len(original.networks)
    ), progress, SMALLEST / math.prod(spacing))  # fmt: skip
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


class _Scan:
    """One image with a compressed network's answers, and the original's as far as it ran."""

    def __init__(
        self,
        compressed: Answers,
        original: Original,
        data: Tensor,
        model: TrainedModel,
        window: SlidingWindow,
        progress: Progress,
        smallest: float,
    ) -> None:
        self._smallest = smallest
        self._compressed, self._data, self._model, self._window = compressed, data, model, window
        self._head, self._labels = original.whole_head(model), label_count(model)
        self.places = window.places(data)
        self.ran: list[int] = []
        self._sure: Sureness = sureness(compressed.features, compressed.head, model, progress)
        self._sums = torch.zeros((self._head.features, *self.places.shape[1:]))
        self._weights = torch.zeros(self.places.shape[1:])
        self._total = self.places.weights(range(len(self.places)))
        self._ours, self._originals = self._sure.labels.clone(), self._sure.labels.clone()
        self._seen = torch.zeros_like(self._sure.labels, dtype=torch.bool)

    @property
    def complete(self) -> bool:
        return len(self.ran) == len(self.places)

    @property
    def left(self) -> int:
        return len(self.places) - len(self.ran)

    def run(self, chosen: Sequence[int]) -> None:
        """The original network on these patches as well."""
        self._window.add(self._data, chosen, self._sums)
        self._weights += self.places.weights(chosen)
        self.ran += chosen
        for index in chosen:
            self._decide(index)

    def doubt(self, before: Reliability) -> Doubt:
        return doubt(before, Reliability.of(self._sure, self._originals, self._labels, self._seen))

    def expected(self, doubt: Doubt) -> Expected:
        if self.complete:
            return Expected(1.0, 1.0, 1.0)
        seen = known(self._ours[self._seen], self._originals[self._seen], self._labels)
        return expected_dice(self._sure, ~self._seen, seen, doubt, self._smallest)

    def losses(self, doubt: Doubt) -> Array:
        """The Dice that is probably lost where each patch weighs most, (patches, labels); 0 where the original ran."""
        found = losses(self._sure, self.places.owners, len(self.places), doubt)
        found[self.ran] = 0
        return found

    def answers(self) -> Answers:
        if not self.ran:
            return self._compressed
        inside = self.places.inside
        if self.complete:
            return Answers(self._sums.div_(self._total)[inside], self._head)
        return Answers(self._merged(inside, self._compressed.features), merged_head(self._compressed.head, self._head))

    def _merged(self, place: tuple[slice, ...], compressed: Features) -> Merged:
        return Merged(compressed, self._sums[place], self._weights[place[1:]], self._total[place[1:]])

    def _decide(self, index: int) -> None:
        """Both labels of the voxels in which the patch weighs most."""
        there, here = self._common(index)
        weights = self._weights[there[1:]]
        originals = labels_on_grid(self._sums[there] / weights, self._head, self._model)
        merged = self._merged(there, self._compressed.features[here])
        ours = labels_on_grid(merged, merged_head(self._compressed.head, self._head), self._model)
        own = self.places.owners[here[1:]] == index
        self._ours[here[1:]][own], self._originals[here[1:]][own] = ours[own], originals[own]
        self._seen[here[1:]] |= own

    def _common(self, index: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The part of a patch that is in the image: its place in the padded image, and in the image."""
        there, here = [slice(None)], [slice(None)]
        for part, inside in zip(self.places[index][1:], self.places.inside[1:], strict=True):
            patch = slice(part, part + 1) if isinstance(part, int) else part
            first, end = max(patch.start, inside.start), min(patch.stop, inside.stop)
            there.append(slice(first, end))
            here.append(slice(first - inside.start, end - inside.start))
        return tuple(there), tuple(here)


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

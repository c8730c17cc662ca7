"""One scan with a compressed network's answers, and the original's as far as it ran."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ..head import Head
from ..window.merged import Features, Merged, merged_head
from ..window.places import Places
from ..window.sliding_window import SlidingWindow
from ..window.sums import Sums
from .expected_dice import Expected, expected_dice, known, losses
from .original import Answers, Original, Prepare
from .reliability import Array, Doubt, Reliability, doubt
from .sureness import Sureness, label_count, labels_on_grid, sureness

SMALLEST = 1000.0
"""Cubic millimetres that a structure has in one of the label maps, or its agreement does not count.

Fragments at the border of the field of view, of which one map may have a voxel and the other none, say nothing about
the rest; with a hundred structures, some are in every scan.
"""


class Scan:
    """One preprocessed image `data` (C, *spatial) of this `spacing` (mm), with a compressed network's answers.

    The original network is prepared, by `prepare`, when it runs on the first of its patches.
    """

    def __init__(
        self,
        compressed: Answers,
        prepare: Prepare,
        data: Tensor,
        model: TrainedModel,
        spacing: Sequence[float],
        device: torch.device,
        step: float,
        progress: Progress,
        untouched: bool = False,
    ) -> None:
        self._compressed, self._prepare, self._data, self._model = compressed, prepare, data, model
        self._device, self._step, self._progress, self._untouched = device, step, progress, untouched
        self._smallest = SMALLEST / math.prod(spacing)
        self.places = Places(data.shape, model.patch_size, step)
        self.ran: list[int] = []
        self._sure: Sureness = sureness(compressed.features, compressed.head, model, progress)
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
        """What was known of the network `before`, corrected by what was seen here."""
        return doubt(before, Reliability.of(self._sure, self._originals, label_count(self._model), self._seen))

    def expected(self, doubt: Doubt) -> Expected:
        """The agreement of what `answers` gives."""
        if self.complete and not self._untouched:
            return Expected(1.0, 1.0, 1.0)
        seen = known(self._ours[self._seen], self._originals[self._seen], label_count(self._model))
        return expected_dice(self._sure, ~self._seen, seen, doubt, self._smallest)

    def losses(self, doubt: Doubt) -> Array:
        """The Dice that is probably lost where each patch weighs most, (patches, labels); 0 where the original ran."""
        found = losses(self._sure, self.places.owners, len(self.places), doubt)
        found[self.ran] = 0
        return found

    def answers(self) -> Answers:
        """The compressed network's, with the original's in their place where it ran."""
        if not self.ran or self._untouched:
            return self._compressed
        inside = self.places.inside
        if self.complete:
            self._sums.divide(self._total)
            return Answers(self._sums.inside(inside).features, self._head)
        return Answers(self._merged(inside, self._compressed.features), merged_head(self._compressed.head, self._head))

    @cached_property
    def _original(self) -> Original:
        return self._prepare(self._progress)

    @cached_property
    def _head(self) -> Head:
        return self._original.whole_head(self._model)

    @cached_property
    def _window(self) -> SlidingWindow:
        networks = self._original.networks
        features = self._head.features // len(networks)
        return SlidingWindow(self._model, networks, self._device, self._progress, self._step, features)

    @cached_property
    def _sums(self) -> Sums:
        return Sums.zeros((self._head.features, *self.places.shape[1:]))

    @cached_property
    def _weights(self) -> Tensor:
        return torch.zeros(self.places.shape[1:])

    @cached_property
    def _total(self) -> Tensor:
        return self.places.weights(range(len(self.places)))

    def _merged(self, place: tuple[slice, ...], compressed: Features) -> Merged:
        return Merged(compressed, self._sums.inside(place).features, self._weights[place[1:]], self._total[place[1:]])

    def _decide(self, index: int) -> None:
        """Both labels of the voxels in which the patch weighs most."""
        there, here = self._common(index)
        own = self.places.owners[here[1:]] == index
        if not own.any():
            return  # its neighbours weigh more everywhere
        box = _box_around(own)  # an eighth of a patch or so
        there, here, own = _within(there, box), _within(here, box), own[box]
        weights = self._weights[there[1:]]
        originals = labels_on_grid(self._sums[there] / weights, self._head, self._model)
        self._originals[here[1:]][own] = originals[own]
        self._seen[here[1:]] |= own
        if not self._untouched:
            merged = self._merged(there, self._compressed.features[here])
            ours = labels_on_grid(merged, merged_head(self._compressed.head, self._head), self._model)
            self._ours[here[1:]][own] = ours[own]

    def _common(self, index: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The part of a patch that is in the image: its place in the padded image, and in the image."""
        there, here = [slice(None)], [slice(None)]
        for part, inside in zip(self.places[index][1:], self.places.inside[1:], strict=True):
            patch = slice(part, part + 1) if isinstance(part, int) else part
            first, end = max(patch.start, inside.start), min(patch.stop, inside.stop)
            there.append(slice(first, end))
            here.append(slice(first - inside.start, end - inside.start))
        return tuple(there), tuple(here)


def _box_around(own: Tensor) -> tuple[slice, ...]:
    """The smallest box that holds all that is true in `own` (*spatial), of which there is some."""
    hits = [own.movedim(axis, 0).flatten(1).any(1).nonzero() for axis in range(own.ndim)]
    return tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)


def _within(place: tuple[slice, ...], box: tuple[slice, ...]) -> tuple[slice, ...]:
    """The box, which is counted from where `place` begins, behind the place's channels."""
    pairs = zip(place[1:], box, strict=True)
    return place[0], *(slice(outer.start + inner.start, outer.start + inner.stop) for outer, inner in pairs)

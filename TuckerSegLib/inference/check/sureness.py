"""How sure a network is of each voxel: its best label, the one it would choose next, and by how much it decided."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ..head import Head
from ..labelling.labels import chooser
from ..window.merged import Features

EDGES = (0.15, 0.3, 0.5, 0.8, 1.2, 1.7, 2.4, 3.3, 4.5, 6.0, 8.0, 11.0)
"""Between the classes of margins, which are differences of two scores before the softmax."""

_VOXELS = 8192

Two = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""From scores (outputs, voxels) to the best label, the next and the margin between them, (voxels,) each."""


@dataclass(frozen=True)
class Sureness:
    """How sure a network is of every voxel of its grid; each attribute is (*spatial).

    Attributes:
        labels: the label chosen.
        seconds: the label that would be chosen if the closest decision had gone the other way.
        margins: the class of the margin between them, 0 for the smallest.
    """

    labels: Tensor
    seconds: Tensor
    margins: Tensor


def sureness(features: Features, head: Head, model: TrainedModel, progress: Progress) -> Sureness:
    """How sure the network is whose `features` (F, *spatial) give scores through `head`.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    two, edges, shape = _two(model), torch.tensor(EDGES), tuple(features.shape[1:])
    labels, seconds = torch.empty(shape, dtype=torch.int16), torch.empty(shape, dtype=torch.int16)
    margins = torch.empty(shape, dtype=torch.uint8)
    for z in range(shape[0]):
        progress.check()
        parts = [two(scores) for scores in _scores(features, head, z)]
        best, second, margin = (torch.cat(part).view(shape[1:]) for part in zip(*parts, strict=True))
        labels[z], seconds[z], margins[z] = best, second, torch.bucketize(margin, edges)
    return Sureness(labels, seconds, margins)


def labels_on_grid(features: Features, head: Head, model: TrainedModel) -> Tensor:
    """The labels alone, (*spatial)."""
    choose = chooser(model) if model.label_manager.has_regions else None
    slices = range(features.shape[1])
    found = [
        torch.cat([_best(scores)[1] if choose is None else choose(scores.T) for scores in _scores(features, head, z)])
        for z in slices
    ]
    return torch.stack(found).view(tuple(features.shape[1:])).to(torch.int16)


def label_count(model: TrainedModel) -> int:
    """One more than the largest label."""
    return max(model.labels) + 1


def _scores(features: Features, head: Head, z: int) -> Iterator[Tensor]:
    """A slice's scores, (outputs, voxels), a few voxels at a time."""
    for part in torch.split(features[:, z : z + 1].flatten(1).float(), _VOXELS, 1):
        yield head.of_columns(part)


def _two(model: TrainedModel) -> Two:
    return _of_regions(chooser(model)) if model.label_manager.has_regions else _of_structures


def _of_structures(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best, labels = _best(scores)
    next_best, seconds = _best(scores.scatter_(0, labels[None], -torch.inf))
    return labels, seconds, best - next_best


def _best(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The largest score of each voxel and the first label that has it.

    Twenty times as fast as `Tensor.max`, which does not compare whole vectors where it has to say the place as well.
    """
    last = len(scores) - 1
    largest = scores.amax(0)
    order = torch.arange(last + 1, dtype=scores.dtype)[:, None]
    return largest, torch.where(scores == largest, order, float(last)).amin(0).long()


def _of_regions(choose: Callable[[Tensor], Tensor]) -> Two:
    """Each region is a decision of its own: the closest is the one whose score is nearest to 0."""

    def two(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = scores.T
        margins, closest = scores.abs().min(1)
        turned = scores.scatter(1, closest[:, None], -scores.gather(1, closest[:, None]))
        return choose(scores), choose(turned), margins

    return two

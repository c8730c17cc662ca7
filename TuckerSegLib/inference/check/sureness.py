"""How sure a network is of each voxel: its best label, the one it would choose next, and by how much it decided."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ..head import Head
from ..labelling.labels import chooser
from ..merged import Features

EDGES = (0.15, 0.3, 0.5, 0.8, 1.2, 1.7, 2.4, 3.3, 4.5, 6.0, 8.0, 11.0)
"""Between the classes of margins, which are differences of two scores before the softmax."""

_VOXELS = 8192

Two = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""From scores (voxels, outputs) to the best label, the next and the margin between them, (voxels,) each."""


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
        rows = features[:, z : z + 1].flatten(1).T.float().contiguous()
        found = [two(head(part)) for part in torch.split(rows, _VOXELS)]
        best, second, margin = (torch.cat(parts).view(shape[1:]) for parts in zip(*found, strict=True))
        labels[z], seconds[z], margins[z] = best, second, torch.bucketize(margin, edges)
    return Sureness(labels, seconds, margins)


def labels_on_grid(features: Features, head: Head, model: TrainedModel) -> Tensor:
    """The labels alone, (*spatial)."""
    choose = chooser(model)
    rows = (features[:, z : z + 1].flatten(1).T.float().contiguous() for z in range(features.shape[1]))
    found = [torch.cat([choose(head(part)) for part in torch.split(row, _VOXELS)]) for row in rows]
    return torch.stack(found).view(tuple(features.shape[1:])).to(torch.int16)


def label_count(model: TrainedModel) -> int:
    """One more than the largest label."""
    return max(model.labels) + 1


def _two(model: TrainedModel) -> Two:
    return _of_regions(chooser(model)) if model.label_manager.has_regions else _of_structures


def _of_structures(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best, labels = scores.max(1)
    next_best, seconds = scores.scatter(1, labels[:, None], -torch.inf).max(1)
    return labels, seconds, best - next_best


def _of_regions(choose: Callable[[Tensor], Tensor]) -> Two:
    """Each region is a decision of its own: the closest is the one whose score is nearest to 0."""

    def two(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        margins, closest = scores.abs().min(1)
        turned = scores.scatter(1, closest[:, None], -scores.gather(1, closest[:, None]))
        return choose(scores), choose(turned), margins

    return two

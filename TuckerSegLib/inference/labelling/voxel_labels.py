"""From averaged features to labels, a few thousand voxels at a time, so that never all scores exist at once.

Features are interpolated between the voxels of the network's grid, and the scores with them, as the head is linear.
Where eight neighbours have the same best structure, every mean of them has that structure too. So only the voxels of
the image that lie between different labels are computed, which are few; the result is the same.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import ModelError
from ...progress import Progress
from ..head import Head
from ..interpolation import Along
from ..window.merged import Features

Labels = npt.NDArray[np.unsignedinteger]

Choose = Callable[[Tensor], Tensor]
"""From scores (voxels, outputs) to labels (voxels,)."""

_VOXELS = 4096


class VoxelLabels:
    """The labels of a model's features (F, z, y, x): `head` makes scores of them, and `choose` labels of the scores."""

    def __init__(self, features: Features, head: Head, choose: Choose, label_type: type[np.unsignedinteger]) -> None:
        self._features, self._head, self._choose = features, head, choose
        self._type = label_type

    def on_own_grid(self, progress: Progress, steps: int = 0) -> Labels:
        """The labels on the network's grid; its slices are the first of so many `steps`, or all of them.

        Raises:
            ModelError: the features are not finite.
        """
        labels = np.empty(self._features.shape[1:], self._type)
        for z in range(len(labels)):
            progress.step(z, steps or len(labels))
            row = self._rows(z, z + 1)
            if not torch.isfinite(row).all():
                raise ModelError("The network's answer is not finite: the model is damaged or the image not its kind.")
            labelled = [self._labels(part) for part in torch.split(row, _VOXELS)]
            labels[z] = np.concatenate(labelled).reshape(labels[z].shape)
        return labels

    def on(self, grid: Sequence[Along], progress: Progress) -> Labels:
        """The labels on another grid.

        Raises:
            ModelError: the features are not finite.
        """
        slices = self._features.shape[1]
        coarse = self.on_own_grid(progress, 2 * slices)
        fine = np.empty([len(along.lower) for along in grid], self._type)
        for z in range(slices):
            progress.step(slices + z, 2 * slices)
            rows = np.flatnonzero(grid[0].lower.numpy() == z)
            if rows.size:
                fine[rows[0] : rows[-1] + 1] = self._slab(coarse[z : z + 2], z, rows, grid)
        return fine

    def _slab(self, coarse: Labels, z: int, rows: npt.NDArray[np.intp], grid: Sequence[Along]) -> Labels:
        """The fine slices `rows`, all of which lie between the network's slices z and z + 1."""
        _, along_y, along_x = grid
        plane = np.ix_(along_y.lower.numpy(), along_x.lower.numpy())
        slab = np.repeat(coarse[0][plane][None], len(rows), axis=0)
        places = torch.from_numpy(np.argwhere(_mixed(coarse)[plane])).T
        if not places.numel():
            return slab
        features = self._rows(z, z + 2)
        for fine, row in zip(slab, rows, strict=True):
            across = Along(*(part[row] for part in grid[0]))
            for some in torch.split(places, _VOXELS, 1):
                corners, weights = _corners(z, across, along_y, along_x, some, self._features.shape[2:])
                between = functional.embedding_bag(corners, features, per_sample_weights=weights, mode="sum")
                fine[tuple(some.numpy())] = self._labels(between)
        return slab

    def _rows(self, start: int, end: int) -> Tensor:
        """The features of these slices, (voxels, F)."""
        return self._features[:, start:end].flatten(1).T.float().contiguous()

    def _labels(self, features: Tensor) -> Labels:
        return self._choose(self._head(features)).numpy().astype(self._type)


def _mixed(labels: Labels) -> npt.NDArray[np.bool_]:
    """Where the labels (1 or 2, y, x) of a voxel and of its next neighbours along the axes differ, (y, x)."""
    lowest = highest = labels
    for axis in range(3):
        lowest = np.minimum(lowest, _next(lowest, axis))
        highest = np.maximum(highest, _next(highest, axis))
    mixed: npt.NDArray[np.bool_] = (lowest != highest)[0]
    return mixed


def _next(labels: Labels, axis: int) -> Labels:
    """The labels moved by one voxel along an axis; the last stays where it is."""
    following: Labels = labels.take(np.arange(1, labels.shape[axis] + 1), axis=axis, mode="clip")
    return following


def _corners(
    z: int, across: Along, along_y: Along, along_x: Along, places: Tensor, plane: torch.Size
) -> tuple[Tensor, Tensor]:
    """The neighbours of the fine voxels at `places` (2, n) of a slice, and their weights, both (n, 8).

    Neighbours are flat indices into the network's slices z and z + 1, each of the shape `plane`.
    """
    y, x = (Along(*(part[where] for part in along)) for along, where in zip((along_y, along_x), places, strict=True))
    corners, weights = [], []
    for k, share_k in ((across.lower - z, 1 - across.weight), (across.upper - z, across.weight)):
        for j, share_j in ((y.lower, 1 - y.weight), (y.upper, y.weight)):
            for i, share_i in ((x.lower, 1 - x.weight), (x.upper, x.weight)):
                corners.append((k * plane[0] + j) * plane[1] + i)
                weights.append(share_k * share_j * share_i)
    return torch.stack(corners, 1), torch.stack(weights, 1)

"""From averaged features to labels on a GPU, slice by slice: nothing but the labels leaves it, once, at the end.

To look for the voxels that need computing, as `voxel_labels` does, is to wait for the GPU at every slice; so all are
computed. Interpolation and head are linear, so their order does not matter: the narrower is done first.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import ModelError
from ...progress import Progress
from ..head import Head
from ..interpolation import Along
from .voxel_labels import Choose

Labels = npt.NDArray[np.unsignedinteger]


class SliceLabels:
    """The labels of features (F, z, y, x), or of scores where there is no `head`, where these are."""

    def __init__(self, features: Tensor, head: Head | None, choose: Choose) -> None:
        self._features, self._choose = features, choose
        self._head = head and Head(head.weight.to(features.device), head.bias.to(features.device))

    @torch.inference_mode()
    def on(self, grid: Sequence[Along], progress: Progress) -> Labels:
        """The labels on a grid, whose slices lie between those of the features.

        Raises:
            ModelError: the features are not finite.
        """
        device = self._features.device
        _, along_y, along_x = (Along(*(part.to(device) for part in along)) for along in grid)
        places = zip(*(part.tolist() for part in grid[0]), strict=True)
        shape = [len(along.lower) for along in grid]
        labels = torch.empty(shape, dtype=torch.int16, device=device)
        sound = torch.ones((), dtype=torch.bool, device=device)
        for z, (lower, upper, weight) in enumerate(places):
            progress.step(z, shape[0])
            plane = torch.lerp(self._plane(lower), self._plane(upper), weight)
            sound &= torch.isfinite(plane).all()
            scores = _between(_between(plane, along_y, 0), along_x, 1).flatten(0, 1)
            labels[z] = self._choose(self._head(scores) if self._head else scores).view(shape[1:])
        if not sound.item():
            raise ModelError("The network's answer is not finite: the model is damaged or the image not its kind.")
        narrow = labels.to(torch.uint8) if self._outputs < 256 else labels
        found: Labels = narrow.cpu().numpy()
        return found

    @property
    def _outputs(self) -> int:
        return self._head.outputs if self._head else len(self._features)

    def _plane(self, z: int) -> Tensor:
        """(y, x, F) in single precision."""
        return self._features[:, z].movedim(0, -1).float()


def _between(plane: Tensor, along: Along, axis: int) -> Tensor:
    shape = [1, 1, 1]
    shape[axis] = len(along.weight)
    lower, upper = plane.index_select(axis, along.lower), plane.index_select(axis, along.upper)
    return torch.lerp(lower, upper, along.weight.view(shape))

"""Images with channels last in memory: a patch is a matrix (voxels, channels)."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import workspace


def memory_format(dimensions: int) -> Any:
    """Channels last, for tensors with so many dimensions."""
    return torch.channels_last_3d if dimensions == 5 else torch.channels_last


def channels_last(x: Tensor) -> Tensor:
    """`x` (N, C, *spatial), copied where its channels do not lie last.

    PyTorch takes the strides of a single channel as it finds them; oneDNN goes by them, so they are set.
    """
    rows = x.movedim(1, -1).contiguous()
    if x.shape[1] > 1:
        return rows.movedim(-1, 1)
    return rows.as_strided(rows.shape, (*rows.stride()[:-1], 1)).movedim(-1, 1)


def empty(like: Tensor, channels: int, spatial: Sequence[int] | None = None) -> Tensor:
    """(N, channels, *spatial) for `like` (N, C, *spatial), or as large as is said; on the CPU in single precision."""
    shape = (len(like), *(like.shape[2:] if spatial is None else spatial), channels)
    room = workspace.take(prod(shape))
    rows = like.new_empty(shape) if room is None else torch.from_numpy(room).view(shape)
    return rows.movedim(-1, 1)


def matrix(image: Tensor) -> Tensor:
    """(channels, *spatial), channels last in memory, as (voxels, channels) of the same memory."""
    return image.movedim(0, -1).view(-1, len(image))

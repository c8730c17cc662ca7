"""A few patches of a few volumes, preprocessed for the network, which a decomposition is fitted on."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..models.nnunet import TrainedModel
from ..volumes.volume import Volume
from .predict import preprocessed

COUNT = 24
"""Patches, where nothing else is asked for."""

_VOXELS = 4_500_000
"""Voxels that all patches may have together, about, as they run through the network at once."""


def patches_of(model: TrainedModel, volumes: Sequence[Volume], most: int = COUNT, seed: int = 0) -> Tensor:
    """Patches (N, C, *patch), from each volume in turn at a random place; the same for the same seed.

    There are `most` of them, or fewer where they are so large that memory would run short, but two at least. A volume
    that is smaller than a patch is padded with zeros, as nnU-Net does.

    Raises:
        InputError: there is no volume, the model is a 2D one, or a volume's channels are not the model's.
    """
    if not volumes:
        raise InputError("There is no image to fit on: name at least one.")
    if model.dimensions == 2:
        raise InputError("Fitting on images needs a 3D model: leave --calibrate out for this one.")
    count = min(most, max(2, _VOXELS // math.prod(model.patch_size)))
    random, seen = np.random.default_rng(seed), [preprocessed(model, volume) for volume in volumes[:count]]
    return torch.stack([_patch(seen[number % len(seen)], model.patch_size, random) for number in range(count)])


def _patch(data: Tensor, shape: Sequence[int], random: np.random.Generator) -> Tensor:
    missing = [max(0, size - found) for size, found in zip(shape, data.shape[1:], strict=True)]
    padded = functional.pad(data, [side for width in reversed(missing) for side in (0, width)])
    starts = [int(random.integers(found - size + 1)) for size, found in zip(shape, padded.shape[1:], strict=True)]
    return padded[(slice(None), *(slice(a, a + size) for a, size in zip(starts, shape, strict=True)))]

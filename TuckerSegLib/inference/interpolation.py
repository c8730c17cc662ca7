"""Where the voxels of one grid lie between those of another, when a network's answers are resampled as nnU-Net does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..models.nnunet import TrainedModel
from ..models.quiet import quiet

Properties = dict[str, Any]
"""What nnU-Net's preprocessing notes about an image: its spacing, and its shape and place before each step."""


class Along(NamedTuple):
    """One axis: each new voxel is `1 - weight` of the old voxel `lower` plus `weight` of `upper`; all (new voxels,)."""

    lower: Tensor
    upper: Tensor
    weight: Tensor


def shape_wanted(properties: Properties) -> tuple[int, ...]:
    """The shape of the cropped image, which the answers are resampled to."""
    return tuple(properties["shape_after_cropping_and_before_resampling"])


def spacings(model: TrainedModel, properties: Properties) -> tuple[list[float], list[float]]:
    """Millimetres along each axis of the network's grid and of the image's, both in the network's order of axes."""
    there = [properties["spacing"][axis] for axis in model.plans_manager.transpose_forward]
    return [*there[: len(there) - model.dimensions], *model.spacing], there


def linear(model: TrainedModel, properties: Properties, shape: Sequence[int]) -> list[Along] | None:
    """How the image's grid lies on the network's, of `shape`; None where the model does not resample linearly.

    Along an axis with much thicker slices nnU-Net takes the nearest one.
    """
    with quiet():
        from nnunetv2.preprocessing.resampling import default_resampling as nnunet
    resample = model.configuration_manager.resampling_fn_probabilities
    settings = {"order": 3, "order_z": 0, "force_separate_z": False, **resample.keywords}
    if resample.func is not nnunet.resample_data_or_seg_to_shape or settings["order"] != 1:
        return None
    _, thick = nnunet.determine_do_sep_z_and_axis(settings["force_separate_z"], *spacings(model, properties))
    by_planes = thick if settings["order_z"] == 0 else None
    sizes = zip(shape, shape_wanted(properties), strict=True)
    return [_along(old, new, axis == by_planes) for axis, (old, new) in enumerate(sizes)]


def nearest(old: int, new: int) -> npt.NDArray[np.int64]:
    """Of `old` voxels in a row the one that is nearest to each of `new` ones, as scipy rounds."""
    return np.floor(_places(old, new) + 0.5).astype(np.int64).clip(0, old - 1)


def _places(old: int, new: int) -> npt.NDArray[np.float64]:
    """Where new voxels are among the old ones, whose middles are whole numbers."""
    places: npt.NDArray[np.float64] = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    return places


def _along(old: int, new: int, to_the_nearest: bool) -> Along:
    places = _places(old, new)
    lower = nearest(old, new) if to_the_nearest else np.floor(places).astype(np.int64)
    upper = lower if to_the_nearest else (lower + 1).clip(0, old - 1)
    weight = np.zeros(new) if to_the_nearest else places - lower
    return Along(*map(torch.from_numpy, (lower, upper, weight.astype(np.float32))))

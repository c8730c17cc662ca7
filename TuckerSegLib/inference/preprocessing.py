"""nnU-Net's preprocessing of an image, number for number, without unused results, and resampled faster."""

# mypy: allow-untyped-calls

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor

from ..errors import InputError, NotEnoughMemory
from ..models.nnunet import TrainedModel
from ..models.quiet import quiet
from .interpolation import Properties
from .orientation import ReadImage
from .resampling import resized, resized_in_planes

Image = npt.NDArray[np.float32]

_OF_PLANS = ("image_reader_writer", "transpose_forward", "foreground_intensity_properties_per_channel")

_OF_CONFIGURATION = (
    "preprocessor_name",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_data_kwargs",
)

_BYTES_A_VOXEL = 8
"""Of an image while it is resampled: what it becomes in single precision, and a copy for the network."""


def preprocess(model: TrainedModel, image: ReadImage) -> tuple[Tensor, Properties]:
    """The image cropped, normalised and resampled for the network, (C, *spatial), and what nnU-Net noted about it.

    In a cascade the last channel of `image` holds the labels of the first stage.
    """
    with quiet():
        preprocessor = model.configuration_manager.preprocessor_class(verbose=False)
    seen = image.voxels[: len(model.channel_names)]
    labels = image.voxels[len(seen) :].astype(np.float32) if model.is_second_stage else None
    data, labels, properties = preprocessor.run_case_npy(
        seen, labels, {"spacing": image.spacing}, model.plans_manager, _Configuration(model), model.dataset
    )
    if model.is_second_stage:
        data = np.vstack([data, _one_for_each(labels[0], model, data.dtype)])
    return torch.from_numpy(data).to(torch.float32), properties


def way_of(model: TrainedModel) -> tuple[Any, ...]:
    """All that decides what `preprocess` makes of an image: the same for models whose plans agree in it."""
    configuration = model.configuration_manager.configuration
    plans = [model.plans[name] for name in _OF_PLANS]
    configured = [configuration.get(name) for name in _OF_CONFIGURATION]
    return len(model.channel_names), model.is_second_stage, plans, configured


def _one_for_each(labels: npt.NDArray[np.signedinteger], model: TrainedModel, dtype: npt.DTypeLike) -> Image:
    """A channel for each structure of a cascade's first stage, 1 inside and 0 outside."""
    from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

    channels: Image = convert_labelmap_to_one_hot(labels, model.label_manager.foreground_labels, dtype)
    return channels


class _Configuration:
    """A model's configuration as nnU-Net's preprocessor asks for it, with other functions to resample."""

    def __init__(self, model: TrainedModel) -> None:
        self._configuration = model.configuration_manager
        self._has_labels = model.is_second_stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._configuration, name)

    @property
    def resampling_fn_data(self) -> Any:
        return partial(_resampled, self._configuration.resampling_fn_data)

    def resampling_fn_seg(self, labels: Any, *grids: Any) -> Any:
        """The mask of the empty part, not resampled, as nothing after the normalisation looks at it but a cascade."""
        return self._configuration.resampling_fn_seg(labels, *grids) if self._has_labels else labels


def _check_room(channels: int, shape: Sequence[int], spacing: Sequence[float]) -> None:
    """Whether what an image becomes at a model's `spacing`, which may be any, can be and can be held."""
    voxels = f"the model's voxels of {' x '.join(f'{size:g}' for size in spacing)} mm"
    sizes = [int(size) for size in shape]
    if min(sizes) < 1:
        raise InputError(f"The image is smaller than one of {voxels}: choose another model.")
    needed, free = _BYTES_A_VOXEL * channels * math.prod(sizes), psutil.virtual_memory().available
    if needed > free:
        raise NotEnoughMemory(
            f"At {voxels} the image takes {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: close "
            "other programs, crop the image, or choose a model of lower resolution."
        )


def _resampled(
    resample: "partial[Any]", data: Image, shape: Sequence[int], current: Sequence[float], wanted: Sequence[float]
) -> Image:
    """The result of nnU-Net's `resample`, by a faster way where there is one."""
    _check_room(len(data), shape, wanted)
    from nnunetv2.preprocessing.resampling import default_resampling as nnunet

    if resample.func is not nnunet.resample_data_or_seg_to_shape or tuple(shape) == data.shape[1:]:
        return np.asarray(resample(data, shape, current, wanted))
    settings = {"order": 3, "order_z": 0, "force_separate_z": False, **resample.keywords}
    separate, thick = nnunet.determine_do_sep_z_and_axis(settings["force_separate_z"], current, wanted)
    if not separate:
        return np.stack([resized(one, shape, settings["order"]) for one in data])
    if settings["order_z"] != 0:
        return np.asarray(resample(data, shape, current, wanted))
    return np.stack([resized_in_planes(one, shape, settings["order"], thick) for one in data])

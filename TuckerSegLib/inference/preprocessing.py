"""nnU-Net's preprocessing of an image, number for number, without unused results and copies in double precision."""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..models.nnunet import TrainedModel
from ..models.quiet import quiet
from .interpolation import Properties
from .orientation import ReadImage

Image = npt.NDArray[np.float32]


def preprocess(model: TrainedModel, image: ReadImage) -> tuple[Tensor, Properties]:
    """The image cropped, normalised and resampled for the network, (C, *spatial), and what nnU-Net noted about it."""
    with quiet():
        preprocessor = model.configuration_manager.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(
        image.voxels, None, {"spacing": image.spacing}, model.plans_manager, _Configuration(model), model.dataset
    )
    return torch.from_numpy(data).to(torch.float32), properties


class _Configuration:
    """A model's configuration as nnU-Net's preprocessor asks for it, with other functions to resample."""

    def __init__(self, model: TrainedModel) -> None:
        self._configuration = model.configuration_manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._configuration, name)

    @property
    def resampling_fn_data(self) -> Any:
        return partial(_resampled, self._configuration.resampling_fn_data)

    def resampling_fn_seg(self, outside: npt.NDArray[np.int8], *_: Any) -> npt.NDArray[np.int8]:
        """The mask of the empty part, not resampled, as nothing after the normalisation looks at it."""
        return outside


def _resampled(
    resample: "partial[Any]", data: Image, shape: Sequence[int], current: Sequence[float], wanted: Sequence[float]
) -> Image:
    """The result of nnU-Net's `resample`; with single precision skimage makes no copies in double precision."""
    from nnunetv2.preprocessing.resampling import default_resampling as nnunet
    from skimage.transform import resize

    if resample.func is not nnunet.resample_data_or_seg_to_shape or tuple(shape) == data.shape[1:]:
        return np.asarray(resample(data, shape, current, wanted))
    settings = {"order": 3, "force_separate_z": False, **resample.keywords}
    separate, _ = nnunet.determine_do_sep_z_and_axis(settings["force_separate_z"], current, wanted)
    if separate:
        return np.asarray(resample(data, shape, current, wanted))
    return np.stack([resize(one, shape, settings["order"], mode="edge", anti_aliasing=False) for one in data])

"""One network over one volume, as nnU-Net would run it: with progress, and stoppable at any patch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import InputError
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import Volume
from .check.checked import Checked
from .check.checking import Wanted, check
from .check.original import Answers, Prepare
from .head import Head
from .interpolation import Properties, spacings
from .labelling.labels import labels_of, resampling_is_needed
from .orientation import ReadImage, read
from .preprocessing import preprocess, way_of
from .shared_images import made_once
from .window.merged import Features
from .window.sliding_window import Network, SlidingWindow

Labels = npt.NDArray[np.unsignedinteger]

_SECONDS_A_VALUE = {True: 1.3e-7, False: 2e-8}
"""Measured time of labelling a voxel for one output, with and without resampling: a first guess of what is left."""


def predict(
    model: TrainedModel,
    networks: Sequence[Network],
    volume: Volume,
    *,
    device: torch.device,
    step: float = 0.5,
    head: Head | None = None,
    progress: Progress | None = None,
) -> tuple[Labels, dict[str, float]]:
    """Segment a volume; with `model.networks()` the labels are nnUNetv2_predict's.

    Each of `networks`, one a fold, maps a patch (1, channels, *model.patch_size) on `device` to
    (1, outputs, *model.patch_size) there. Patches lie `step` of their size apart. With `head` the networks give
    features instead, and the head, which takes those of all folds, is applied once at the end. The result is the label
    map (K, J, I) and the seconds each stage took.

    Raises:
        InputError: the volume's channels are not those the model needs.
        ModelError: the model cannot read 3D images, or its answer is not finite.
        Cancelled: `progress` was cancelled; at the latest after the network's current call.
    """
    run = (progress or Progress()).part()
    seen = _seen(model, volume, run)
    answers = _answers(model, networks, seen, device, step, head, run)
    return _labels(model, seen, answers, head, run), run.seconds


def predict_checked(
    model: TrainedModel,
    networks: Sequence[Network],
    volume: Volume,
    original: Prepare,
    wanted: Wanted,
    *,
    device: torch.device,
    step: float = 0.5,
    head: Head | None = None,
    progress: Progress | None = None,
) -> tuple[Labels, Checked, dict[str, float]]:
    """As `predict`, with the `original` network on some of the patches, and how good the label map is.

    `model` is the compressed network's; the original one, which `original` prepares, has the same plans.

    Raises:
        InputError, ModelError, Cancelled: as `predict`.
    """
    run = (progress or Progress()).part()
    seen = _seen(model, volume, run)
    features = _answers(model, networks, seen, device, step, head, run)
    features = features.cpu() if isinstance(features, Tensor) else features
    compressed = Answers(features, head or Head.none(features.shape[0]))
    spacing, _ = spacings(model, seen.properties)
    answers, checked = check(
        compressed, original, seen.data, model, wanted, spacing, device=device, step=step, progress=run
    )
    untouched = answers is compressed
    return _labels(model, seen, answers.features, head if untouched else answers.head, run), checked, run.seconds


def preprocessed(model: TrainedModel, volume: Volume) -> Tensor:
    """The volume as the network sees it, (C, *spatial): cropped, resampled and normalised by the model's plans.

    Raises:
        InputError: the volume's channels are not those the model needs.
        ModelError: the model cannot read 3D images.
    """
    _check_channels(model, volume)
    return preprocess(model, read(volume, model.plans["image_reader_writer"]))[0]


@dataclass(frozen=True)
class _Seen:
    """A volume as a reader hands it on, as the network sees it (C, *spatial), and what was noted on the way."""

    image: ReadImage
    data: Tensor
    properties: Properties


def _seen(model: TrainedModel, volume: Volume, run: Progress) -> _Seen:
    _check_channels(model, volume)
    run.stage("preprocess")

    def make() -> _Seen:
        image = read(volume, model.plans["image_reader_writer"])
        return _Seen(image, *preprocess(model, image))

    way = (way_of(model), volume.geometry.ijk_to_ras.tolist())
    return made_once("preprocessed", volume.voxels, way, make)


def _answers(
    model: TrainedModel,
    networks: Sequence[Network],
    seen: _Seen,
    device: torch.device,
    step: float,
    head: Head | None,
    run: Progress,
) -> Features:
    """(outputs or features, *preprocessed shape), on the device or on the CPU."""
    run.stage("predict", later=_seconds_of_labelling(model, seen.data, seen.properties))
    features = head.features // len(networks) if head else None
    return SlidingWindow(model, networks, device, run, step, features).answers(seen.data)


def _labels(model: TrainedModel, seen: _Seen, answers: Features, head: Head | None, run: Progress) -> Labels:
    """The label map (K, J, I), at the end of the run."""
    run.stage("postprocess")
    labels = seen.image.restore(labels_of(answers, model, seen.properties, run, head))
    run.finish()
    return np.ascontiguousarray(labels)


def _check_channels(model: TrainedModel, volume: Volume) -> None:
    wanted, found = len(model.channel_names), len(volume.voxels) - model.is_second_stage
    if model.is_second_stage and wanted == found + 1:
        raise InputError(f"{model.name} is the second stage of a cascade, which only a segmentation runs.")
    if wanted != found:
        images = "1 image" if found == 1 else f"{found} images"
        raise InputError(
            f"{model.name} needs {wanted} input channel{'s' * (wanted != 1)} ({', '.join(model.channel_names)}) "
            f"but got {images}: choose one image for each channel."
        )


def _seconds_of_labelling(model: TrainedModel, data: Tensor, properties: Properties) -> float:
    shape = properties["shape_after_cropping_and_before_resampling"]
    values = model.label_manager.num_segmentation_heads * np.prod(shape)
    return float(values * _SECONDS_A_VALUE[resampling_is_needed(data, properties)])

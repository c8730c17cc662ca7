"""One network over one volume, as nnU-Net would run it: with progress, and stoppable at any patch."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import InputError
from ..models.nnunet import TrainedModel
from ..progress import Cancellation, Event, ProgressCallback
from ..volumes.volume import Volume
from .head import Head
from .interpolation import Properties
from .labels import labels_of, resampling_is_needed
from .orientation import read
from .preprocessing import preprocess
from .sliding_window import Network, SlidingWindow

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
    progress: ProgressCallback | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[Labels, dict[str, float]]:
    """Segment a volume; with `model.networks()` the labels are nnUNetv2_predict's.

    Each of `networks`, one a fold, maps a patch (1, channels, *model.patch_size) on `device` to
    (1, outputs, *model.patch_size) there. Patches lie `step` of their size apart. With `head` the networks give
    features instead, and the head, which takes those of all folds, is applied once at the end. The result is the label
    map (K, J, I) and the seconds each stage took.

    Raises:
        InputError: the volume's channels are not those the model needs.
        ModelError: the model cannot read 3D images, or its answer is not finite.
        Cancelled: `cancellation` was asked for; at the latest after the network's current call.
    """
    _check_channels(model, volume)
    run = _Run(progress, cancellation or Cancellation())
    run.enter("preprocess")
    image = read(volume, model.plans["image_reader_writer"])
    data, properties = preprocess(model, image)
    run.enter("predict")
    answers = _answers(model, networks, data, properties, device, step, head, run)
    run.enter("postprocess")
    labels = image.restore(labels_of(answers, model, properties, run.step, head))
    return np.ascontiguousarray(labels), run.finish()


def preprocessed(model: TrainedModel, volume: Volume) -> Tensor:
    """The volume as the network sees it, (C, *spatial): cropped, resampled and normalised by the model's plans.

    Raises:
        InputError: the volume's channels are not those the model needs.
        ModelError: the model cannot read 3D images.
    """
    _check_channels(model, volume)
    return preprocess(model, read(volume, model.plans["image_reader_writer"]))[0]


class _Run:
    """The stages of one run: their times, what is left, and whether to go on."""

    def __init__(self, progress: ProgressCallback | None, cancellation: Cancellation) -> None:
        self._progress = progress
        self._cancellation = cancellation
        self._began = self._entered = perf_counter()
        self._stage = ""
        self._fraction = 0.0
        self._seconds: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        self._leave()
        self._stage = stage
        self._report(None)

    def step(self, done: int, steps: int, later: float = 0.0) -> None:
        """`done` of the stage's equal `steps` are behind; the stages after it will take `later` seconds."""
        elapsed = perf_counter() - self._entered
        self._report(elapsed / done * (steps - done) + later if done else None)

    def finish(self) -> dict[str, float]:
        self._leave()
        self._report(0.0)
        return self._seconds

    def _leave(self) -> None:
        self._cancellation.raise_if_cancelled()
        now = perf_counter()
        if self._stage:
            self._seconds[self._stage] = now - self._entered
        self._entered = now

    def _report(self, seconds_left: float | None) -> None:
        self._cancellation.raise_if_cancelled()
        if seconds_left is not None:
            elapsed = perf_counter() - self._began
            self._fraction = max(self._fraction, elapsed / (elapsed + seconds_left))
        if self._progress:
            self._progress(Event(self._stage, self._fraction, seconds_left))


def _check_channels(model: TrainedModel, volume: Volume) -> None:
    wanted, found = model.num_input_channels, len(volume.voxels)
    if wanted != found:
        images = "1 image" if found == 1 else f"{found} images"
        raise InputError(
            f"{model.name} needs {wanted} input channel{'s' * (wanted != 1)} ({', '.join(model.channel_names)}) "
            f"but got {images}: choose one image for each channel."
        )


def _answers(
    model: TrainedModel,
    networks: Sequence[Network],
    data: Tensor,
    properties: Properties,
    device: torch.device,
    step: float,
    head: Head | None,
    run: _Run,
) -> Tensor:
    """(outputs or features, *preprocessed shape) on the CPU."""
    later = _seconds_of_labelling(model, data, properties)
    features = head.features // len(networks) if head else None
    window = SlidingWindow(model, networks, device, lambda done, calls: run.step(done, calls, later), step, features)
    return window.answers(data)


def _seconds_of_labelling(model: TrainedModel, data: Tensor, properties: Properties) -> float:
    shape = properties["shape_after_cropping_and_before_resampling"]
    values = model.label_manager.num_segmentation_heads * np.prod(shape)
    return float(values * _SECONDS_A_VALUE[resampling_is_needed(data, properties)])

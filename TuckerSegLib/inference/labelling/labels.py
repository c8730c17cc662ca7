"""From the network's answers on nnU-Net's grid to labels on the image's grid, without all outputs at once.

The export of nnU-Net itself resamples all outputs before it compares them, which for a hundred structures needs more
memory than most computers have. Comparing each output with the best so far gives the same labels, and so does comparing
the outputs that a head makes of a few voxels' features.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import ModelError, is_lack_of_memory
from ...models.nnunet import TrainedModel
from ...progress import Progress
from ..head import Head
from ..interpolation import Along, Properties, linear, shape_wanted, spacings
from ..window.merged import Features
from .slice_labels import SliceLabels
from .voxel_labels import Choose, VoxelLabels

_CPU = torch.device("cpu")

Scores = npt.NDArray[np.floating]

Labels = npt.NDArray[np.unsignedinteger]


def labels_of(
    answers: Features, model: TrainedModel, properties: Properties, progress: Progress, head: Head | None = None
) -> Labels:
    """The label map (z, y, x) of an image from the network's `answers`, (channels, *preprocessed shape).

    The answers are the features that `head` takes, or the scores where there is no head.

    Raises:
        Cancelled: `progress` was cancelled.
        ModelError: the network answered with numbers that are not finite.
    """
    inside = _inside(answers, model, properties, progress, head)
    labels = np.zeros(properties["shape_before_cropping"], inside.dtype)
    labels[tuple(slice(first, end) for first, end in properties["bbox_used_for_cropping"])] = inside
    return labels.transpose(model.plans_manager.transpose_backward)


def resampling_is_needed(answers: Features, properties: Properties) -> bool:
    return tuple(answers.shape[1:]) != shape_wanted(properties)


def _inside(
    answers: Features, model: TrainedModel, properties: Properties, progress: Progress, head: Head | None
) -> Labels:
    """The labels of the cropped image."""
    grid = linear(model, properties, answers.shape[1:])
    if isinstance(answers, Tensor) and answers.device.type != "cpu":
        found = _on_device(answers, model, grid, progress, head)
        if found is not None:
            return found
        answers = answers.cpu()
    if head is None or grid is None:
        compared = _drawn_regions if model.label_manager.has_regions else _best_labels
        return compared(_resampled(answers, model, properties, progress, head), model)
    voxel_labels = VoxelLabels(answers, head, chooser(model), _label_type(model))
    if resampling_is_needed(answers, properties):
        return voxel_labels.on(grid, progress)
    return voxel_labels.on_own_grid(progress)


def _on_device(
    answers: Tensor, model: TrainedModel, grid: Sequence[Along] | None, progress: Progress, head: Head | None
) -> Labels | None:
    """The labels of the cropped image, made where the answers are; None where that cannot be."""
    if grid is None:
        return None
    try:
        labels = SliceLabels(answers, head, chooser(model, answers.device))
        return labels.on(grid, progress).astype(_label_type(model), copy=False)
    except RuntimeError as error:
        if not is_lack_of_memory(error):
            raise
    return None


def chooser(model: TrainedModel, device: torch.device = _CPU) -> Choose:
    """What makes labels of scores (voxels, outputs) on a device."""
    if not model.label_manager.has_regions:
        return lambda scores: scores.argmax(1)
    # A voxel in several regions keeps the label of the one that is drawn last.
    drawn = torch.tensor([0, *model.dataset["regions_class_order"]], device=device)
    order = torch.arange(1, len(drawn), device=device)
    return lambda scores: drawn[(order * (scores > 0)).amax(1)]


def _resampled(
    answers: Features, model: TrainedModel, properties: Properties, progress: Progress, head: Head | None
) -> Iterator[Scores]:
    """Each output on the cropped image's grid, by the model's own resampling."""
    spacing, image_spacing = spacings(model, properties)
    outputs = head.outputs if head else answers.shape[0]
    whole = answers[:, :] if head else answers
    for index in range(outputs):
        progress.step(index, outputs)
        output = head.output(index, whole[:, :]) if head else whole[index : index + 1]
        if not torch.isfinite(output).all():
            raise ModelError("The network's answer is not finite: the model is damaged or the image not of its kind.")
        resample = model.configuration_manager.resampling_fn_probabilities
        yield np.asarray(resample(output, shape_wanted(properties), spacing, image_spacing))[0]


def _best_labels(outputs: Iterator[Scores], model: TrainedModel) -> Labels:
    best = np.array(next(outputs))
    labels = np.zeros(best.shape, _label_type(model))
    for label, scores in enumerate(outputs, start=1):
        better = scores > best
        labels[better] = label
        np.copyto(best, scores, where=better)
    return labels


def _drawn_regions(outputs: Iterator[Scores], model: TrainedModel) -> Labels:
    """Each region drawn over those before it, in the order the model prescribes."""
    labels: Labels | None = None
    for label, scores in zip(model.dataset["regions_class_order"], outputs, strict=True):
        if labels is None:
            labels = np.zeros(scores.shape, _label_type(model))
        probabilities = model.label_manager.apply_inference_nonlin(np.array(scores))
        labels[(probabilities > 0.5).numpy()] = label
    assert labels is not None
    return labels


def _label_type(model: TrainedModel) -> type[np.unsignedinteger]:
    return np.uint8 if len(model.label_manager.foreground_labels) < 255 else np.uint16

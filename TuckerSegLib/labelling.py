"""From the network's outputs on nnU-Net's grid to labels on the image's grid, one output at a time.

nnU-Net's own export resamples all outputs before it compares them, which for a hundred structures needs more memory
than most computers have. Comparing each with the best so far gives the same labels.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .errors import ModelError
from .models.nnunet import TrainedModel

Scores = npt.NDArray[np.floating]
Labels = npt.NDArray[np.unsignedinteger]
Properties = dict[str, Any]
"""What nnU-Net's preprocessing notes about an image: its spacing, and its shape and place before each step."""


def labels_of(
    logits: Tensor, model: TrainedModel, properties: Properties, before_output: Callable[[int], None]
) -> Labels:
    """The label map (z, y, x) of an image from its `logits`, (outputs, *preprocessed shape).

    `before_output` is told the index of each output before it is resampled, and may raise to stop.

    Raises:
        ModelError: the network answered with numbers that are not finite.
    """
    cropped = _drawn_regions if model.label_manager.has_regions else _best_labels
    inside = cropped(_resampled(logits, model, properties, before_output), model)
    labels = np.zeros(properties["shape_before_cropping"], inside.dtype)
    labels[tuple(slice(first, end) for first, end in properties["bbox_used_for_cropping"])] = inside
    return labels.transpose(model.plans_manager.transpose_backward)


def resampling_is_needed(logits: Tensor, properties: Properties) -> bool:
    return tuple(logits.shape[1:]) != tuple(properties["shape_after_cropping_and_before_resampling"])


def _resampled(
    logits: Tensor, model: TrainedModel, properties: Properties, before_output: Callable[[int], None]
) -> Iterator[Scores]:
    """Each output on the cropped image's grid, by the model's own resampling."""
    shape = properties["shape_after_cropping_and_before_resampling"]
    image_spacing = [properties["spacing"][axis] for axis in model.plans_manager.transpose_forward]
    spacing = [*image_spacing[: len(shape) - model.dimensions], *model.spacing]
    for index in range(len(logits)):
        before_output(index)
        output = logits[index : index + 1]
        if not torch.isfinite(output).all():
            raise ModelError("The network's answer is not finite: the model is damaged or the image not of its kind.")
        scores = model.configuration_manager.resampling_fn_probabilities(output, shape, spacing, image_spacing)
        yield np.asarray(scores)[0]


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

"""What a compressed network is worth, learnt where the original network's answer is known everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ...volumes.dice import mean_dice
from ...volumes.volume import Volume
from ..predict import preprocessed
from ..window.merged import Features
from ..window.sliding_window import SlidingWindow
from .original import Original
from .reliability import Reliability
from .sureness import label_count, labels_on_grid, sureness

_STEP = 0.75
"""How far patches lie apart, as a share of their size: further than when segmenting, to save time."""


@dataclass(frozen=True)
class Example:
    """A preprocessed image (C, *spatial), and the original network's labels of it (*spatial)."""

    data: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Experience:
    """A compressed network's mean Dice with the original's labels, mean over examples, and how often it erred where."""

    agreement: float
    reliability: Reliability


def examples(
    model: TrainedModel,
    original: Original,
    volumes: Sequence[Volume],
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> list[Example]:
    """What `learnt` needs, the same for all levels of a model.

    Raises:
        InputError: the volumes' channels are not those the model needs.
        Cancelled: `progress` was cancelled; at the latest after the network's current call.
    """
    every = [preprocessed(model, volume) for volume in volumes]
    head = original.whole_head(model)
    return [
        Example(data, labels_on_grid(_answers(model, original, data, device, progress), head, model)) for data in every
    ]


def learnt(
    model: TrainedModel,
    compressed: Original,
    known: Sequence[Example],
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> Experience:
    """What a compressed network, which runs as an original one does, makes of examples.

    Raises:
        Cancelled: `progress` was cancelled; at the latest after the network's current call.
    """
    labels, agreements, reliability = label_count(model), [], Reliability.unknown(label_count(model))
    for example in known:
        answers = _answers(model, compressed, example.data, device, progress)
        sure = sureness(answers, compressed.whole_head(model), model, progress or Progress())
        agreements.append(mean_dice(example.labels.numpy(), sure.labels.numpy()))
        reliability = reliability + Reliability.of(sure, example.labels, labels)
    return Experience(float(np.mean(agreements)), reliability)


def _answers(
    model: TrainedModel, network: Original, data: Tensor, device: torch.device, progress: Progress | None
) -> Features:
    features = network.whole_head(model).features // len(network.networks)
    window = SlidingWindow(model, network.networks, device, progress or Progress(), _STEP, features)
    return window.answers(data)

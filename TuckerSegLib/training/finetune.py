"""Training a compressed network, with labels or from the original network's answers.

Both run nnU-Net's own loop (`training.trainer`) and give a level that differs from the one they start from in its
weights alone. What an interrupted training needs to go on is in the folder `work`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from ..engines.devices import torch_device
from ..errors import InputError, OutputError
from ..models.nnunet import TrainedModel
from .settings import DISTILLATION, Training
from .trainer import Told, make_trainer

Prepared = Callable[[int, int], None]
"""Told of (images preprocessed, images in all)."""


def distill(
    level: TrainedModel,
    original: TrainedModel,
    images: Sequence[str],
    work: Path,
    training: Training = DISTILLATION,
    *,
    device: str = "auto",
    prepared: Prepared | None = None,
    told: Told | None = None,
) -> TrainedModel:
    """`level` after learning to answer as `original` does, on `images`: "phantoms", files or folders; no labels.

    Raises:
        InputError: an image cannot be used, `level` was not made from `original`, or holds several folds.
        OutputError: `work` cannot be written to.
    """
    from .distillation import Distiller
    from .images import prepare

    _check(level)
    if original.compression is not None or original.fingerprint != level.fingerprint:
        raise InputError(f"{level.name} was not compressed from that model: name the original it was made from.")
    files = prepare(level, images, _folder(work / "images"), prepared)
    trainer = make_trainer(Distiller, level, training, work, " ".join(images), torch_device(device), told)
    trainer.learn_from(_network(original), files)
    return trainer.run()


def train(
    level: TrainedModel,
    dataset: Path,
    work: Path,
    training: Training = Training(),  # noqa: B008
    *,
    device: str = "auto",
    prepared: Prepared | None = None,
    told: Told | None = None,
) -> TrainedModel:
    """`level` after training on the labels of `dataset`, a folder as nnU-Net wants it, by nnU-Net's own recipe.

    Raises:
        InputError: the folder is not such a dataset, or not one of the model's structures and channels.
        OutputError: `work` cannot be written to.
    """
    from .labelled import Labelled, prepare_cases

    _check(level)
    prepare_cases(level, dataset, _folder(work), prepared)
    return make_trainer(Labelled, level, training, work, str(dataset.resolve()), torch_device(device), told).run()


def _check(level: TrainedModel) -> None:
    if level.compression is None:
        raise InputError(f"{level.name} is not compressed: choose a level of it.")
    folds = len(level.load_weights())
    if folds != 1:
        raise InputError(f"{level.name} holds {folds} folds and one is trained at a time: compress one with --fold.")


def _folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another place.") from error
    return folder


def _network(original: TrainedModel) -> nn.Module:
    network = original.network()
    network.load_state_dict(original.load_weights()[0])
    return network

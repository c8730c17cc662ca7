"""Training a compressed network, with labels or from the original network's answers.

Both run nnU-Net's own loop (`trainer`) and give a model that differs from the one they start from in its weights alone.
The folder `work` holds what is needed to resume a training.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ..engines.devices import torch_device
from ..errors import InputError
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.output import make_folder
from .settings import DISTILLATION, Training
from .trainer import EpochListener, make_trainer


def distill(
    compressed: TrainedModel,
    original: TrainedModel,
    images: Sequence[str],
    work: Path,
    training: Training = DISTILLATION,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    on_epoch: EpochListener | None = None,
) -> TrainedModel:
    """`compressed` after learning to answer as `original` does, on `images`: "phantoms", files or folders; no labels.

    `progress` is told of the stages "images" and "train", `on_epoch` of every epoch.

    Raises:
        Cancelled: `progress` was cancelled; the same call goes on from the last epoch that was finished.
        InputError: an image cannot be used, `compressed` was not made from `original`, or holds several folds.
        OutputError: `work` cannot be written to.
    """
    from .distillation import Distiller
    from .images import preprocess_all

    _check(compressed)
    if original.compression is not None or original.fingerprint != compressed.fingerprint:
        raise InputError(f"{compressed.name} was not compressed from that model: name the original it was made from.")
    files = preprocess_all(compressed, images, make_folder(work / "images"), progress)
    trainer = make_trainer(Distiller, compressed, training, work, " ".join(images), torch_device(device))
    trainer.progress, trainer.on_epoch = progress or Progress(), on_epoch
    trainer.learn_from(_network(original), files)
    return trainer.run()


def train(
    compressed: TrainedModel,
    dataset: Path,
    work: Path,
    training: Training = Training(),  # noqa: B008
    *,
    device: str = "auto",
    progress: Progress | None = None,
    on_epoch: EpochListener | None = None,
) -> TrainedModel:
    """`compressed` after training on the labels of `dataset`, a folder as nnU-Net wants it, by nnU-Net's own recipe.

    `progress` and `on_epoch` are as in `distill`.

    Raises:
        Cancelled: `progress` was cancelled; the same call goes on from the last epoch that was finished.
        InputError: the folder is not such a dataset, or not one of the model's structures and channels.
        OutputError: `work` cannot be written to.
    """
    from .labelled import Labelled, preprocess_cases

    _check(compressed)
    preprocess_cases(compressed, dataset, make_folder(work), progress)
    trainer = make_trainer(Labelled, compressed, training, work, str(dataset.resolve()), torch_device(device))
    trainer.progress, trainer.on_epoch = progress or Progress(), on_epoch
    return trainer.run()


def _check(compressed: TrainedModel) -> None:
    if compressed.compression is None:
        raise InputError(f"{compressed.name} is not compressed: compress it first.")
    folds = len(compressed.load_weights())
    if folds != 1:
        raise InputError(
            f"{compressed.name} holds {folds} folds and one is trained at a time: compress one with --fold."
        )


def _network(original: TrainedModel) -> nn.Module:
    network = original.network()
    network.load_state_dict(original.load_weights()[0])
    return network

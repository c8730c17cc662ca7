"""nnU-Net's training loop around a compressed network, with Adam, frozen parts, a time limit, and a way to resume."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..decomposition.fast_passes import for_training
from ..errors import InputError
from ..models.nnunet import Compression, TrainedModel, Weights, digest
from ..models.quiet import quiet
from ..progress import Event, Progress
from . import state
from .determinism import VALIDATION, deterministic, seed_all
from .schedule import Schedule
from .settings import Training, parts
from .state import State

with quiet():
    import nnunetv2.training.nnUNetTrainer.nnUNetTrainer as upstream  # noqa: N813

_log = logging.getLogger(__name__)

STATE = "state.safetensors"

_HISTORY = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice", "lrs")


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch, numbered from 1.

    Attributes:
        dice: nnU-Net's pseudo Dice, against labels or against the original network.
        share: how much of the training is done, 0 to 1.
        seconds: of computing, in all epochs so far.
    """

    number: int
    train_loss: float
    validation_loss: float
    dice: float
    share: float
    seconds: float


EpochListener = Callable[[Epoch], None]


class Finetuner(upstream.nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's trainer, starting from a compressed network instead of from random weights.

    Nothing but `STATE` is written, after every epoch. The weights with the lowest validation loss are kept. An epoch
    depends on the seed, its number and the weights alone, so that a training that is resumed ends where an
    uninterrupted one does.
    """

    compressed: TrainedModel
    training: Training
    work: Path
    origin: str
    progress: Progress
    on_epoch: EpochListener | None
    clock: Callable[[], float]

    def start_from(self, compressed: TrainedModel, training: Training, work: Path, origin: str) -> None:
        """What nnU-Net's own arguments leave open; `origin` names the data."""
        self.compressed, self.training, self.work = compressed, training, work
        self.progress, self.on_epoch = Progress(), None
        self.num_epochs, self.initial_lr = training.epochs, training.learning_rate
        self.num_iterations_per_epoch = training.iterations
        self.num_val_iterations_per_epoch = max(1, training.iterations // 10)
        self.clock = computing_time(self.device)
        self.spent, self.best_loss, self.best_epoch = 0.0, float("inf"), -1
        (weights,) = compressed.load_weights()
        self.origin = f"{origin} {training.fingerprint} {compressed.fingerprint} {digest(weights)}"
        self._weights = weights
        self.best: Weights = {}

    def run(self) -> TrainedModel:
        """Train, or go on with the training that `work` holds; the compressed model with the best weights."""
        with deterministic(self.training.seed):
            self.initialize()
            if (self.work / STATE).exists():
                self.load_checkpoint(self.work / STATE)
            if not self._is_over():
                with suppress(_Over):
                    self.run_training()
        return self._result()

    # What nnU-Net's loop calls, in its order.

    def build_network_architecture(self, *_: Any, **__: Any) -> nn.Module:  # type: ignore[override, unused-ignore]
        network = self.compressed.network()
        network.load_state_dict(self._weights)
        for part, parameter in parts(network):
            parameter.requires_grad_(part not in self.training.freeze)
        return for_training(network, self.device)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Schedule]:
        trained = [p for p in self.network.parameters() if p.requires_grad]
        if not trained:
            raise InputError("With these parts frozen there is nothing to train: leave one out.")
        optimizer = torch.optim.Adam(trained, self.initial_lr)
        return optimizer, Schedule(optimizer, self.initial_lr, self._share)

    def on_train_start(self) -> None:
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)

    def on_epoch_start(self) -> None:
        super().on_epoch_start()
        self._began = self.clock()
        seed_all(self.training.seed, self.current_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.progress.check()
        self.lr_scheduler.warm_up()
        done: dict[str, Any] = super().train_step(batch)
        return done

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        seed_all(self.training.seed, VALIDATION)

    def on_epoch_end(self) -> None:
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        took = self.clock() - self._began
        self.spent += took
        if not math.isfinite(self._last("train_losses") + self._last("val_losses")):
            raise InputError("The loss is no number any more: choose a lower learning rate.")
        if self._last("val_losses") < self.best_loss:
            self.best_loss, self.best_epoch = self._last("val_losses"), self.current_epoch
            self.best = unique(self.network)
        self.current_epoch += 1
        self.save_checkpoint(self.work / STATE)
        self._tell(self._epoch())
        if self._is_over(took):
            raise _Over

    def on_train_end(self) -> None:
        """nnU-Net would write its own checkpoint here."""

    def print_to_log_file(self, *args: Any, **_: Any) -> None:
        _log.debug(" ".join(map(str, args)))

    def _do_i_compile(self) -> bool:
        return False

    def save_checkpoint(self, filename: Path) -> None:
        optimizer = self.optimizer.state_dict()["state"]
        log = self.logger.my_fantastic_logging
        record = {
            "epoch": self.current_epoch,
            "spent": self.spent,
            "best": [self.best_loss, self.best_epoch],
            "history": {name: [float(value) for value in log[name]] for name in _HISTORY},
        }
        groups = {
            "weights": unique(self.network),
            "best": self.best,
            "optimizer": {
                f"{i}/{name}": torch.as_tensor(t) for i, values in optimizer.items() for name, t in values.items()
            },
        }
        state.save(State(self.origin, record, groups), Path(filename))

    def load_checkpoint(self, filename: Path) -> None:
        saved = state.load(Path(filename))
        if saved.origin != self.origin:
            raise InputError(
                f"The training in {self.work} had another network, other data or other settings: "
                "repeat those, or remove it to start anew."
            )
        self.network.load_state_dict(saved.groups["weights"], strict=False)
        self.best = dict(saved.groups.get("best", {}))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in saved.groups.get("optimizer", {}).items():
            number, _, kind = name.partition("/")
            moments.setdefault(int(number), {})[kind] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.current_epoch, self.spent = saved.record["epoch"], saved.record["spent"]
        self.best_loss, self.best_epoch = saved.record["best"]
        log = self.logger.my_fantastic_logging
        log.update(saved.record["history"])
        for name in ("dice_per_class_or_region", "epoch_start_timestamps", "epoch_end_timestamps"):
            log[name] = [0.0] * self.current_epoch

    def _share(self) -> float:
        """How much of the training is behind, 0 to 1."""
        limit = self.training.minutes
        in_time = self.spent / (60 * limit) if limit else 0.0
        return float(min(1.0, max(self.current_epoch / self.training.epochs, in_time)))

    def _is_over(self, epoch: float = 0.0) -> bool:
        """Whether no further epoch, which takes as long as the last one, is to come."""
        limit, patience = self.training.minutes, self.training.patience
        late = limit is not None and self.spent + epoch / 2 > 60 * limit
        idle = patience is not None and self.current_epoch - 1 - self.best_epoch >= patience
        return late or idle or self.current_epoch >= self.num_epochs

    def _last(self, name: str) -> float:
        return float(self.logger.my_fantastic_logging[name][-1])

    def _epoch(self) -> Epoch:
        losses = self._last("train_losses"), self._last("val_losses")
        return Epoch(self.current_epoch, *losses, self._last("mean_fg_dice"), self._share(), self.spent)

    def _tell(self, epoch: Epoch) -> None:
        if self.on_epoch:
            self.on_epoch(epoch)
        left = epoch.seconds * (1 - epoch.share) / epoch.share if epoch.share else None
        self.progress.check()
        self.progress.tell(Event("train", epoch.share, left))

    def _result(self) -> TrainedModel:
        network = self.compressed.network()
        network.load_state_dict(self._weights)
        network.load_state_dict(self.best, strict=False)
        return trained_model(self.compressed, network, self.training, self.best_epoch + 1)


T = TypeVar("T", bound=Finetuner)


def make_trainer(
    kind: type[T], compressed: TrainedModel, training: Training, work: Path, origin: str, device: torch.device
) -> T:
    """A trainer of the class `kind`, which keeps its files in `work`."""
    with quiet(), _folders(work):
        trainer = kind(compressed.plans, compressed.configuration, 0, compressed.dataset, device)
    trainer.start_from(compressed, training, work, origin)
    return trainer


def trained_model(compressed: TrainedModel, network: nn.Module, training: Training, epochs: int) -> TrainedModel:
    """`compressed` with the weights of `network`; its policy tells it from the untrained one."""
    assert compressed.compression is not None
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    added: dict[str, str | int | float] = {
        "trained": digest(weights),
        "learning_rate": training.learning_rate,
        "epochs": epochs,
    }
    compression = Compression(
        {**compressed.compression.policy, **added}, compressed.compression.ranks, compressed.compression.report
    )
    return replace(compressed, compression=compression, load_weights=partial(_copied, weights))


def unique(network: nn.Module) -> Weights:
    """A copy of each weight, once, under the first name it is registered by."""
    return {name: parameter.detach().cpu().clone() for name, parameter in network.named_parameters()}


def computing_time(device: torch.device) -> Callable[[], float]:
    """Seconds that count: on a processor those for which its cores worked here, whatever else the computer did."""
    if device.type != "cpu":
        return time.perf_counter
    cores = torch.get_num_threads()
    return lambda: time.process_time() / cores


class _Over(Exception):
    """Leaves nnU-Net's loop before its last epoch."""


@contextmanager
def _folders(work: Path) -> Iterator[None]:
    """nnU-Net takes its folders from the environment when it is imported; these are its trainer's own."""
    names = ("nnUNet_preprocessed", "nnUNet_results")
    before = {name: getattr(upstream, name) for name in names}
    try:
        for name in names:
            setattr(upstream, name, str(work / name))
        yield
    finally:
        for name, folder in before.items():
            setattr(upstream, name, folder)


def _copied(weights: Weights) -> list[Weights]:
    return [copy.deepcopy(weights)]

"""nnU-Net's trainer without mirroring, since left and right have names, for a given time on two cores."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoDA import nnUNetTrainerNoDA
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

LEARNING_RATE = 1.5e-3


class TimeIsUp(Exception):
    """Leaves nnU-Net's loop before its last epoch."""


class TimedTrainer(nnUNetTrainerNoDA):  # type: ignore[misc]
    """Learning rate and end follow the minutes spent in epochs, so that any computer ends in time.

    No augmentation: every phantom already differs in pose, shape, contrast and noise.
    """

    minutes = 85.0

    def __init__(self, plans: dict[str, Any], configuration: str, fold: int, dataset_json: dict[str, Any],
                 device: torch.device) -> None:  # fmt: skip
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_iterations_per_epoch, self.num_val_iterations_per_epoch, self.save_every = 40, 4, 1
        self.oversample_foreground_percent = 1.0
        self.initial_lr = LEARNING_RATE

    def initialize(self) -> None:
        super().initialize()
        self.twin = copy.deepcopy(self.network)
        for own, shared in zip(self.twin.parameters(), self.network.parameters(), strict=True):
            own.data = shared.data
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,))
        self.rarity = self.measured_rarity()
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.99))  # type: ignore[no-untyped-call]

    def measured_rarity(self) -> torch.Tensor:
        """How much rarer than the median structure each label is, from a few training phantoms."""
        cases, _ = self.get_tr_and_val_datasets()
        counts = np.ones(self.label_manager.num_segmentation_heads)
        for name in cases.identifiers[:12]:
            labels = np.asarray(cases.load_case(name)[1][:]).clip(0).astype(int)
            counts += np.bincount(labels.ravel(), minlength=counts.size)
        return torch.tensor(np.median(counts) / counts, dtype=torch.float32)

    def on_train_epoch_start(self) -> None:
        """Small structures weigh more at first, or they would appear late; at last all voxels weigh the same."""
        super().on_train_epoch_start()
        strength = 0.5 * max(1 - self.spent() / 0.8, 0.0)
        self.loss.loss.ce.weight = self.rarity**strength

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Each core takes one of the two patches: with two cores a patch, each layer waits for the slower one."""

        def backward(network: Any, index: int) -> float:
            output = network(batch["data"][index : index + 1])
            loss = self.loss(output, [target[index : index + 1] for target in batch["target"]]) / 2
            loss.backward()
            return float(loss.detach())

        for network in (self.network, self.twin):
            network.zero_grad(set_to_none=True)
        loss = sum(self.pool.map(backward, (self.network, self.twin), (0, 1)))
        for own, other in zip(self.network.parameters(), self.twin.parameters(), strict=True):
            if own.grad is not None:
                own.grad += other.grad
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return {"loss": loss}

    def on_train_end(self) -> None:
        """The last hundred or so iterations' mean: so few iterations leave the weights restless."""
        self.network.load_state_dict(self.average.module.state_dict())
        super().on_train_end()

    def configure_optimizers(self) -> tuple[Any, Any]:
        optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=1e-4)
        share = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: max(1 - self.spent(), 0.0) ** 0.9 + 1e-4)
        return optimizer, share

    def spent(self) -> float:
        """The share of the time that past epochs took."""
        log = self.logger.my_fantastic_logging
        spans = zip(log["epoch_start_timestamps"], log["epoch_end_timestamps"], strict=False)
        return float(sum(end - start for start, end in spans)) / (60 * self.minutes)

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        mean = self.logger.my_fantastic_logging["mean_fg_dice"][-1]
        self.print_to_log_file(f"mean pseudo Dice {mean:.4f}, {self.spent():.0%} of the time")
        if self.spent() >= 1:
            raise TimeIsUp

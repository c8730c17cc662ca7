"""Training from the original network's soft answers: no labels (Hinton, Vinyals and Dean, arXiv 1503.02531, 2015)."""

# mypy: allow-untyped-calls

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..decomposition.fast_passes import for_training, half_precision, in_order
from .per_core import PerCore
from .soft_loss import soft_loss, soft_loss_of_regions
from .trainer import Finetuner

Patches = Iterator[Tensor]

_HELD_OUT = 8
"""One image in so many, but one at least, is for validation."""


class Distiller(Finetuner):
    """Learns to score every voxel of random patches as the original network does.

    The loss is Kullback and Leibler's divergence from the original's class probabilities, both at the temperature;
    nnU-Net's pseudo Dice is the agreement of both networks' labels on patches of images that are held out.
    """

    teacher: nn.Module
    images: Sequence[Path]

    def learn_from(self, teacher: nn.Module, images: Sequence[Path]) -> None:
        """`images` are preprocessed, (C, *spatial), as NumPy files."""
        self.teacher = for_training(teacher.eval().requires_grad_(False), self.device)
        self.images = images
        self.enable_deep_supervision = False

    def initialize(self) -> None:
        self.batch_size = int(self.configuration_manager.batch_size)
        self.network = self.build_network_architecture()
        self.optimizer, self.lr_scheduler = self.configure_optimizers()
        self._trained = [p for p in self.network.parameters() if p.requires_grad]
        self._half = half_precision(self.device)
        self._per_core = PerCore(self.device, self.batch_size)
        self.was_initialized = True

    def get_dataloaders(self) -> tuple[Patches, Patches]:
        """Endless patches for training; for validation the same few again and again."""
        held = max(1, len(self.images) // _HELD_OUT)
        seen, unseen = (self.images[held:] or self.images), self.images[:held]
        counts = self.num_iterations_per_epoch, self.num_val_iterations_per_epoch
        return self._batches(seen, counts[0], False), self._batches(unseen, counts[1], True)

    def train_step(self, batch: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """On a processor each core takes its own patch, as cores that share one wait for each other at every layer."""
        self.progress.check()
        self.lr_scheduler.warm_up()
        losses, gradients = zip(*self._per_core.map(self._gradient, batch), strict=True)
        for parameter, *parts in zip(self._trained, *gradients, strict=True):
            parameter.grad = torch.stack(parts).mean(0)
        nn.utils.clip_grad_norm_(self._trained, 12)
        self.optimizer.step()
        return {"loss": np.mean(losses)}

    def validation_step(self, batch: Tensor) -> dict[str, Any]:
        losses, counts = zip(*self._per_core.map(self._compare, batch), strict=True)
        both, ours, theirs = np.sum(counts, 0)
        return {"loss": np.mean(losses), "tp_hard": both, "fp_hard": ours - both, "fn_hard": theirs - both}

    def _batches(self, images: Sequence[Path], count: int, validation: bool) -> Patches:
        """Batches that depend on the seed, the epoch and their place in it alone; for validation not on the epoch."""
        shape = self.configuration_manager.patch_size
        opened = [np.load(image, mmap_mode="r") for image in images]
        for number in itertools.count():
            epoch = 0 if validation else self.current_epoch
            rng = np.random.default_rng([self.training.seed, validation, epoch, number % count])
            chosen = [opened[int(rng.integers(len(opened)))] for _ in range(self.batch_size)]
            patches = np.stack([random_patch(image, shape, rng) for image in chosen])
            yield in_order(torch.from_numpy(patches).to(self.device, torch.float32))

    def _gradient(self, patch: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        student, teacher = self._scores(patch)
        loss = self._loss(student, teacher)
        return float(loss.detach()), torch.autograd.grad(loss, self._trained, allow_unused=True, materialize_grads=True)

    @torch.no_grad()
    def _compare(self, patch: Tensor) -> tuple[float, npt.NDArray[np.int64]]:
        student, teacher = self._scores(patch)
        return float(self._loss(student, teacher)), self._counts(student, teacher)

    def _scores(self, patch: Tensor) -> tuple[Tensor, Tensor]:
        # Without the cache of casts, which threads would share.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half, cache_enabled=False):
            with torch.no_grad():
                teacher = self.teacher(patch)
            student = self.network(patch)
        return student, teacher

    def _counts(self, student: Tensor, teacher: Tensor) -> npt.NDArray[np.int64]:
        """How many voxels of each structure are in both answers, in the student's and in the teacher's."""
        if self.label_manager.has_regions:
            ours, theirs = (scores.transpose(0, 1).flatten(1) > 0 for scores in (student, teacher))
            return np.stack([np.asarray(found.sum(1).cpu()) for found in (ours & theirs, ours, theirs)])
        ours, theirs = student.argmax(1).flatten(), teacher.argmax(1).flatten()
        found = [torch.bincount(x, minlength=student.shape[1])[1:] for x in (ours[ours == theirs], ours, theirs)]
        return torch.stack(found).cpu().numpy()

    def _loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        loss = soft_loss_of_regions if self.label_manager.has_regions else soft_loss
        return loss(student, teacher, self.training.temperature)


def random_patch(image: npt.NDArray[Any], shape: Sequence[int], rng: np.random.Generator) -> npt.NDArray[Any]:
    """A patch (C, *shape) from a random place of an image (C, K, J, I), padded with zeros where that is smaller.

    A shape of two sizes is that of a slice.
    """
    sizes = (1, *shape)[-3:]
    starts = [int(rng.integers(max(found - size, 0) + 1)) for found, size in zip(image.shape[1:], sizes, strict=True)]
    found = image[(slice(None), *(slice(a, a + size) for a, size in zip(starts, sizes, strict=True)))]
    missing = [(0, size - there) for size, there in zip(sizes, found.shape[1:], strict=True)]
    return np.pad(found, [(0, 0), *missing]).reshape(len(image), *shape)

"""The wide sample: nnU-Net's usual width, grown from the small sample and trained further on two cores."""

# mypy: allow-untyped-calls

import copy
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from TuckerSegLib.decomposition.fast_passes import for_training, half_precision, in_order
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.quiet import quiet
from TuckerSegLib.volumes.phantoms.seeds import TRAINING, VALIDATION

from . import SMALL
from .cases import Cases, Patch, write_case
from .export import Json, read_json, write_folder
from .growth import grow
from .loss import loss_of

FEATURES = (32, 64, 128, 256, 320)
PATCH = (80, 48, 64)
"""Voxels of 4.5 mm (k, j, i)."""
LEARNING_RATE = 1e-3
_WARM_UP = 60
"""Steps."""
_EVERY = 240
"""Seconds between two savings."""
_KEPT = 0.995
"""The share of the running mean of the weights that is kept at each step."""
_CPU = torch.device("cpu")


def generate(work: Path) -> None:
    """The training and validation phantoms; training may begin before the last is there."""
    (work / "cases").mkdir(parents=True, exist_ok=True)
    seeds = [*VALIDATION, *TRAINING]
    with ProcessPoolExecutor(2) as pool:
        for number, _ in enumerate(pool.map(write_case, seeds, [work / "cases"] * len(seeds)), 1):
            print(f"\r{number}/{len(seeds)} phantoms", end="", flush=True)
    print()


def plans_and_dataset() -> tuple[Json, Json]:
    """The small sample's, with nnU-Net's usual features, a stage more, and a patch that divides by 16."""
    plans, dataset = read_json(SMALL, "plans.json", "dataset.json")
    configuration = plans["configurations"]["3d_fullres"]
    stages = len(FEATURES)
    configuration["patch_size"] = list(PATCH)
    configuration["architecture"]["arch_kwargs"] |= {
        "n_stages": stages,
        "features_per_stage": list(FEATURES),
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return plans, dataset


def new_network() -> nn.Module:
    """The wide network with random weights, which gives its scores at every scale of the decoder."""
    with quiet():
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    plans, dataset = plans_and_dataset()
    plan = plans["configurations"]["3d_fullres"]["architecture"]
    network: nn.Module = get_network_from_plans(
        plan["network_class_name"], plan["arch_kwargs"], plan["_kw_requires_import"], 1, len(dataset["labels"]),
        allow_init=True, deep_supervision=True,
    )  # fmt: skip
    return network


def train(work: Path, minutes: float, rate: float = LEARNING_RATE) -> None:
    """Train for a given time, going on from what was saved; a training that had ended begins its schedule again."""
    Training(work).run(minutes, rate)


def export(work: Path, folder: Path) -> None:
    """The running mean of the weights in half precision, which halves the file and leaves the labels as they are."""
    state = _load(work)
    network = new_network()
    for parameter, saved in zip(network.parameters(), state["mean"], strict=True):
        parameter.data = saved.contiguous().half()
    write_folder(folder, network.state_dict(), *plans_and_dataset(), state["steps"])


class Training:
    """AdamW, a learning rate that follows the time, a running mean of the weights; each core takes a patch of two.

    Without augmentation, as every phantom already differs, and without mirroring, since left and right have names.
    """

    def __init__(self, work: Path) -> None:
        self._work, self._half = work, half_precision(_CPU)
        self._cases, self._held = (Cases(work / "cases", seeds) for seeds in (TRAINING, VALIDATION))
        torch.manual_seed(0)
        self.network = new_network()
        if not _state(work).exists():
            self._grow()
        for_training(self.network, _CPU)
        self._twin, self.mean = copy.deepcopy(self.network), copy.deepcopy(self.network).requires_grad_(False)
        for own, shared in zip(self._twin.parameters(), self.network.parameters(), strict=True):
            own.data = shared.data
        self._optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=1e-4)
        self._steps, self._share, self._rng = 0, 0.0, np.random.default_rng()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,))
        if _state(work).exists():
            self._resume()

    def run(self, minutes: float, rate: float) -> None:
        """Until `minutes` have passed; every few of them the state is saved and a line tells how it goes."""
        start, first, begun, saved = time.time(), self._share, self._steps, time.time()
        losses: list[float] = []
        while self._share < 1:
            self._share = min(first + (1 - first) * (time.time() - start) / (60 * minutes), 1.0)
            warm = min((self._steps - begun + 1) / _WARM_UP, 1.0)
            for group in self._optimizer.param_groups:
                group["lr"] = rate * warm * ((1 - self._share) ** 0.9 + 1e-4)
            losses.append(self._step())
            if time.time() - saved > _EVERY or self._share >= 1:
                self._save()
                self._cases.look()
                print(
                    f"{time.strftime('%H:%M')} step {self._steps}, {self._share:.1%}, loss {np.mean(losses):.4f}, "
                    f"{(time.time() - saved) / len(losses):.1f} s a step, {len(self._cases)} phantoms, "
                    f"Dice in patches of others {self.validation():.4f}",
                    flush=True,
                )
                losses, saved = [], time.time()

    def validation(self, patches: int = 24) -> float:
        """Mean Dice of the structures in the same patches each time, by the running mean of the weights."""
        rng = np.random.default_rng(0)
        some = [self._held.patch(rng, PATCH) for _ in range(patches)]
        overlap, size = np.sum(list(self._pool.map(self._counts, some)), 0)
        return float((2 * overlap / size)[1:][size[1:] > 0].mean())

    def _grow(self) -> None:
        model = open_folder(SMALL)
        small = model.network()
        small.load_state_dict(model.load_weights()[0])
        rng = np.random.default_rng(0)
        images = [self._cases.patch(rng, PATCH)[0] for _ in range(8)]
        grow(self.network, small, images, torch.Generator().manual_seed(0))

    def _resume(self) -> None:
        state = _load(self._work)
        for network, name in ((self.network, "network"), (self.mean, "mean")):
            for parameter, saved in zip(network.parameters(), state[name], strict=True):
                parameter.data.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        self._steps, self._share = state["steps"], state["share"] % 1

    def _save(self) -> None:
        state = {
            "network": [p.data for p in self.network.parameters()],
            "mean": [p.data for p in self.mean.parameters()],
            "optimizer": self._optimizer.state_dict(),
            "steps": self._steps,
            "share": self._share,
        }
        partial = _state(self._work).with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, _state(self._work))

    def _step(self) -> float:
        patches = [self._cases.patch(self._rng, PATCH) for _ in range(2)]
        for network in (self.network, self._twin):
            network.zero_grad(set_to_none=True)
        loss = sum(self._pool.map(self._backward, (self.network, self._twin), patches))
        for own, other in zip(self.network.parameters(), self._twin.parameters(), strict=True):
            assert own.grad is not None and other.grad is not None
            own.grad += other.grad
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        self._optimizer.step()
        self._steps += 1
        keep = min(_KEPT, self._steps / (10 + self._steps))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return loss

    def _backward(self, network: nn.Module, patch: Patch) -> float:
        loss = loss_of(self._scores(network, patch[0]), patch[1]) / 2
        loss.backward()
        return float(loss.detach())

    @torch.no_grad()
    def _counts(self, patch: Patch) -> npt.NDArray[np.int64]:
        """Voxels each label has right, and voxels it has in both label maps together."""
        scores = self._scores(self.mean, patch[0])[0]
        found, count = scores.argmax(1), scores.shape[1]
        same, guessed, true = (torch.bincount(labels.ravel(), minlength=count)
                               for labels in (patch[1][found == patch[1]], found, patch[1]))  # fmt: skip
        return torch.stack((same, guessed + true)).numpy()

    def _scores(self, network: nn.Module, image: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            return network(in_order(image))


def _state(work: Path) -> Path:
    return work / "state.pt"


def _load(work: Path) -> Any:
    return torch.load(_state(work), map_location="cpu", weights_only=True)

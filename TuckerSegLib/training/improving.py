"""All levels of a network, trained in turns to answer as the original does: no labels, no end to wait for.

Each turn is a few dozen steps of Adam on random patches, against the original's soft answers on the same patches
(`soft_loss`), which cost a quarter of a step and are made on the way. A level's weights are their running mean, and its
rate falls to a quarter whenever a turn gained little, or nothing, which then counts as not taken: so no length is fixed
beforehand, and the training can be stopped after any turn and gone on with later. Which level is next is decided by
what the last turns of each gained a second on patches that are held out. A level never becomes worse there than it was.
"""

# mypy: allow-untyped-calls

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ..decomposition.calibration.correction import quick, run
from ..decomposition.fast_passes import for_training, half_precision, in_order
from ..progress import Progress
from ..volumes.output import make_folder, whole_file
from .soft_loss import soft_loss, soft_loss_of_regions

Answer = Callable[[Tensor], Tensor]
"""Gives a network's answer (1, K, *spatial) to a patch (1, C, *spatial)."""
Patches = Callable[[np.random.Generator], Tensor]
"""Gives a random patch (C, *spatial), preprocessed."""
Weights = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]

_FORMAT = "tuckerseg improvement 2"
_LITTLE = 0.05
"""The share of a level's divergence below which what a turn gained asks for a lower rate."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What Adam keeps of a parameter."""


@dataclass(frozen=True)
class Schedule:
    """How levels are trained: Adam's rate at first and at least, its first steps that are shorter, steps a turn, what
    the mean keeps.
    """

    learning_rate: float = 4e-4
    least_rate: float = 1e-5
    warm_up: int = 20
    steps: int = 50
    kept: float = 0.98
    seed: int = 0


@dataclass(frozen=True)
class Standing:
    """Where a level stands: `steps` behind it, its `divergence` from the original, nats a voxel, at first and at best.

    `gain` is what the last turns took off it a second; None before the first at this `rate`.
    """

    steps: int
    first: float
    best: float
    rate: float
    gain: float | None = None

    def promise(self, turn: float) -> float:
        """What the next turn of so many seconds may take off a second: all there is, where this rate was not tried."""
        return self.best / turn if self.gain is None else self.gain


class Improvement:
    """The levels of one network while they are trained.

    Args:
        original: answers what the levels learn, in any engine.
        levels: by the names that their files have in `folder`; left untouched.
        patches: makes what is trained on.
        held_out: patches (N, C, *spatial) that nothing is trained on.
        folder: what an interrupted training goes on from; made if it is not there.
        regions: whether each output is a decision of its own, as where structures overlap.
        device: where everything happens.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(
        self,
        original: Answer,
        levels: Mapping[str, nn.Module],
        patches: Patches,
        held_out: Tensor,
        folder: Path,
        schedule: Schedule = Schedule(),
        regions: bool = False,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        make_folder(folder)
        self._original, self._patches, self._device = original, patches, device
        self._held_out = held_out.to(device)
        self._answers = [self._answer(patch[None]) for patch in self._held_out]
        self._schedule, self._likelihoods = schedule, _of_regions if regions else _of_labels
        loss = soft_loss_of_regions if regions else soft_loss
        self._levels = {
            name: _Level(level, folder / f"{name}.safetensors", schedule, loss, device)
            for name, level in levels.items()
        }
        for level in self._levels.values():
            level.start(self._divergence)

    @property
    def standings(self) -> dict[str, Standing]:
        """The standing of each level."""
        return {name: level.standing for name, level in self._levels.items()}

    def level(self, name: str) -> nn.Module:
        """The best there is of a level."""
        return self._levels[name].best()

    def train(self, seconds: float, progress: Progress | None = None) -> None:
        """Take turns for as long, and one to its end; `progress` is told of whole seconds, and may raise to stop.

        Whoever stops it loses one turn.
        """
        start, turn = time.perf_counter(), 1.0
        while (gone := time.perf_counter() - start) < seconds:
            if progress:
                progress.step(int(gone), max(1, int(seconds)))
            self._turn(max(self._levels.values(), key=lambda level: level.standing.promise(turn)))
            turn = max(1e-9, time.perf_counter() - start - gone)

    def _turn(self, level: "_Level") -> None:
        start = time.perf_counter()
        for _ in range(self._schedule.steps):
            number = level.steps
            patch = self._patches(np.random.default_rng([self._schedule.seed, number]))[None].to(self._device)
            level.learn(patch, self._answer(patch))
        level.judge(self._divergence, lambda: time.perf_counter() - start)

    def _answer(self, patch: Tensor) -> Tensor:
        """The original's; a copy, as nothing can be learnt from a tensor that was made in inference mode."""
        with torch.no_grad():
            return self._original(patch).float().clone()

    def _divergence(self, network: nn.Module) -> float:
        """KL(original || network) on what is held out, nats a voxel."""
        network = quick(network, self._device)
        found = 0.0
        for patch, answer in zip(self._held_out, self._answers, strict=True):
            p, q = (self._likelihoods(x[0].flatten(1)) for x in (answer, run(network, patch[None]).float()))
            found += float((p.exp() * (p - q)).sum() / p.shape[-1])
        return found / len(self._answers)


def _of_labels(scores: Tensor) -> Tensor:
    """Logarithms of the probabilities of labels, from scores (labels, voxels)."""
    return scores.log_softmax(0)


def _of_regions(scores: Tensor) -> Tensor:
    """The same of each region and its absence, (2, regions, voxels)."""
    return torch.stack((functional.logsigmoid(scores), functional.logsigmoid(-scores)))


class _Level:
    """One level: what is trained, its running mean, and the best mean so far."""

    def __init__(self, level: nn.Module, path: Path, schedule: Schedule, loss: Loss, device: torch.device) -> None:
        self._shell, self._path, self._schedule = level, path, schedule
        self._loss, self._device = loss, device
        self._network = for_training(copy.deepcopy(level).requires_grad_(True), device)
        self._trained = dict(self._network.named_parameters())
        self._best: Weights = {name: p.detach().clone() for name, p in self._trained.items()}
        self.steps = 0
        self.standing = Standing(0, 0.0, 0.0, schedule.learning_rate)
        self._from_best()

    def start(self, divergence: Callable[[nn.Module], float]) -> None:
        """From the file, where there is one for this level."""
        if not self._read():
            found = divergence(self._shell)
            self.standing = Standing(0, found, found, self._schedule.learning_rate)

    def best(self) -> nn.Module:
        return self._with(self._best)

    def learn(self, patch: Tensor, answer: Tensor) -> None:
        """One step."""
        self.steps += 1
        self._since_best += 1
        for group in self._adam.param_groups:
            group["lr"] = self.standing.rate * min(1.0, self._since_best / self._schedule.warm_up)
        with torch.enable_grad():
            half = half_precision(self._device)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=half, cache_enabled=False):
                scores = self._network(in_order(patch))
            loss = self._loss(scores.float().contiguous(), answer.contiguous())
            self._adam.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_(self._trained.values(), 12)
        self._adam.step()
        kept = min(self._schedule.kept, 1 - 1 / (1 + max(0, self._since_best - self._schedule.warm_up)))
        for name, parameter in self._trained.items():
            self._mean[name].lerp_(parameter.detach(), 1 - kept)

    def judge(self, divergence: Callable[[nn.Module], float], seconds: Callable[[], float]) -> None:
        """After a turn: keep the mean where it is better, go back to the best where not, and write everything down."""
        found, before = divergence(self._with(self._mean)), self.standing
        gain = (before.best - found) / max(seconds(), 1e-9)
        if gain > 0:
            self._best = {name: p.clone() for name, p in self._mean.items()}
            if before.best - found < _LITTLE * before.best and self._is_enough(before.rate / 4):
                # Shorter steps gained more at once than what these could have gained yet, wherever that was tried.
                self.standing = replace(before, steps=self.steps, best=found, rate=before.rate / 4, gain=None)
            else:
                gain = gain if before.gain is None else (gain + before.gain) / 2
                self.standing = replace(before, steps=self.steps, best=found, gain=gain)
        else:
            self._from_best()
            rate = before.rate / 4
            # A level that no rate helps waits until the others' gains are used up, too.
            self.standing = replace(before, steps=self.steps, rate=rate, gain=None if self._is_enough(rate) else 0.0)
        self._write()

    def _is_enough(self, rate: float) -> bool:
        return rate >= self._schedule.least_rate

    def _from_best(self) -> None:
        """What is trained, and its mean, are the best there was; Adam knows nothing yet."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(self._best[name])
        self._mean = {name: p.clone() for name, p in self._best.items()}
        self._adam = torch.optim.Adam(self._trained.values(), self.standing.rate)
        self._since_best = 0

    def _with(self, weights: Weights) -> nn.Module:
        network = copy.deepcopy(self._shell)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
        return network

    def _write(self) -> None:
        moments = self._adam.state_dict()["state"]
        tensors = {f"trained/{name}": p.detach() for name, p in self._trained.items()}
        tensors |= {f"mean/{name}": p for name, p in self._mean.items()}
        tensors |= {f"best/{name}": p for name, p in self._best.items()}
        names = list(self._trained)
        for index, moment in moments.items():  # heads that inference does not use have none
            tensors |= {f"{kind}/{names[index]}": moment[kind] for kind in _MOMENTS}
        standing = json.dumps({**asdict(self.standing), "since_best": self._since_best})
        told = {"format": _FORMAT, "standing": standing, "shapes": self._shapes()}
        with whole_file(self._path) as partial:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, told)

    def _read(self) -> bool:
        try:
            with safe_open(self._path, "pt") as file:
                told = file.metadata() or {}
                if told.get("format") != _FORMAT or told.get("shapes") != self._shapes():
                    return False
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return False
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[f"trained/{name}"])
                self._mean[name].copy_(tensors[f"mean/{name}"])
                self._best[name].copy_(tensors[f"best/{name}"])
        state = {
            index: {kind: tensors[f"{kind}/{name}"] for kind in _MOMENTS}
            for index, name in enumerate(self._trained)
            if f"step/{name}" in tensors
        }
        self._adam.load_state_dict({**self._adam.state_dict(), "state": state})
        standing = json.loads(told["standing"])
        self._since_best = standing.pop("since_best")
        self.standing = Standing(**standing)
        self.steps = self.standing.steps
        return True

    def _shapes(self) -> str:
        return str({name: tuple(p.shape) for name, p in self._trained.items()})

"""All levels of a network, trained in turns to answer as the original does: no labels, no end to wait for.

Each turn is a few dozen steps of Adam at a constant rate on random patches, against the original's soft answers on the
same patches (`soft_loss`), which cost a quarter of a step and are made on the way. A level's weights are their running
mean, which makes a falling rate, and so a length fixed beforehand, unnecessary: the training can be stopped after any
turn and gone on with later. Which level is next is decided by what the last turn of each gained a second on patches
that are held out. A level never becomes worse there than it was.
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

from ..decomposition.calibration.correction import quick, run
from ..decomposition.fast_passes import for_training, half_precision, in_order
from ..progress import Progress
from ..volumes.output import whole_file
from .soft_loss import soft_loss

Patches = Callable[[np.random.Generator], Tensor]
"""Gives a random patch (C, *spatial), preprocessed."""
Weights = dict[str, Tensor]

_CPU = torch.device("cpu")
_FORMAT = "tuckerseg improvement 1"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What Adam keeps of a parameter."""


@dataclass(frozen=True)
class Schedule:
    """How levels are trained: Adam's rate, its first steps that are shorter, steps a turn, what the mean keeps."""

    learning_rate: float = 2e-3
    warm_up: int = 20
    steps: int = 50
    kept: float = 0.98
    seed: int = 0


@dataclass(frozen=True)
class Standing:
    """Where a level stands: `steps` behind it, its `divergence` from the original, nats a voxel, at first and at best.

    `gain` is what the last turn took off it a second; None before the first.
    """

    steps: int
    first: float
    best: float
    gain: float | None = None

    @property
    def promise(self) -> float:
        """What the next turn may take off a second; untried levels come first."""
        return self.best * 1e6 if self.gain is None else self.gain


class Improvement:
    """The levels of one network while they are trained.

    Args:
        original: answers what the levels learn.
        levels: by factor; left untouched. Of the same ranks as when `folder` was written, if it was.
        patches: makes what is trained on.
        held_out: patches (N, C, *spatial) that nothing is trained on.
        folder: what an interrupted training goes on from; made if it is not there.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(
        self,
        original: nn.Module,
        levels: Mapping[float, nn.Module],
        patches: Patches,
        held_out: Tensor,
        folder: Path,
        schedule: Schedule = Schedule(),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._teacher, self._patches, self._held_out = quick(original), patches, held_out
        self._answers = [run(self._teacher, patch[None]).float() for patch in held_out]
        self._schedule = schedule
        self._levels = {
            factor: _Level(level, folder / f"{factor:g}.safetensors", schedule) for factor, level in levels.items()
        }
        for level in self._levels.values():
            level.start(self._divergence)

    @property
    def standings(self) -> dict[float, Standing]:
        """The standing of each level."""
        return {factor: level.standing for factor, level in self._levels.items()}

    def level(self, factor: float) -> nn.Module:
        """The best there is of the level at `factor`."""
        return self._levels[factor].best()

    def train(self, seconds: float, progress: Progress | None = None) -> None:
        """Take turns for as long, and one to its end; `progress` is told of whole seconds, and may raise to stop.

        Whoever stops it loses one turn.
        """
        start = time.perf_counter()
        while (gone := time.perf_counter() - start) < seconds:
            if progress:
                progress.step(int(gone), max(1, int(seconds)))
            self._turn(max(self._levels.values(), key=lambda level: level.standing.promise))

    def _turn(self, level: "_Level") -> None:
        start = time.perf_counter()
        for _ in range(self._schedule.steps):
            number = level.steps
            patch = self._patches(np.random.default_rng([self._schedule.seed, number]))[None]
            level.learn(patch, run(self._teacher, patch).float())
        level.judge(self._divergence, lambda: time.perf_counter() - start)

    def _divergence(self, network: nn.Module) -> float:
        """KL(original || network) on what is held out, nats a voxel."""
        network = quick(network)
        found = 0.0
        for patch, answer in zip(self._held_out, self._answers, strict=True):
            p, q = (x[0].flatten(1).log_softmax(0) for x in (answer, run(network, patch[None]).float()))
            found += float((p.exp() * (p - q)).sum(0).mean())
        return found / len(self._answers)


class _Level:
    """One level: what is trained, its running mean, and the best mean so far."""

    def __init__(self, level: nn.Module, path: Path, schedule: Schedule) -> None:
        self._shell, self._path, self._schedule = level, path, schedule
        self._network = for_training(copy.deepcopy(level).requires_grad_(True), _CPU)
        self._trained = dict(self._network.named_parameters())
        self._adam = torch.optim.Adam(self._trained.values(), schedule.learning_rate)
        self._mean: Weights = {name: p.detach().clone() for name, p in self._trained.items()}
        self._best = {name: p.clone() for name, p in self._mean.items()}
        self.steps = 0
        self.standing = Standing(0, 0.0, 0.0)

    def start(self, divergence: Callable[[nn.Module], float]) -> None:
        """From the file, where there is one for this level."""
        if not self._read():
            found = divergence(self._shell)
            self.standing = Standing(0, found, found)

    def best(self) -> nn.Module:
        return self._with(self._best)

    def learn(self, patch: Tensor, answer: Tensor) -> None:
        """One step."""
        self.steps += 1
        for group in self._adam.param_groups:
            group["lr"] = self._schedule.learning_rate * min(1.0, self.steps / self._schedule.warm_up)
        with torch.enable_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=half_precision(_CPU), cache_enabled=False):
                scores = self._network(in_order(patch))
            loss = soft_loss(scores.float().contiguous(), answer.contiguous())
            self._adam.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_(self._trained.values(), 12)
        self._adam.step()
        kept = min(self._schedule.kept, 1 - 1 / (1 + max(0, self.steps - self._schedule.warm_up)))
        for name, parameter in self._trained.items():
            self._mean[name].lerp_(parameter.detach(), 1 - kept)

    def judge(self, divergence: Callable[[nn.Module], float], seconds: Callable[[], float]) -> None:
        """After a turn: keep the mean where it is better, and write everything down."""
        found, before = divergence(self._with(self._mean)), self.standing
        gain = max(0.0, before.best - found) / max(seconds(), 1e-9)
        if found < before.best:
            self._best = {name: p.clone() for name, p in self._mean.items()}
        # A turn without a gain, as noise may have it, does not end a level's hopes at once.
        gain = gain if before.gain is None else (gain + before.gain) / 2
        self.standing = replace(before, steps=self.steps, best=min(found, before.best), gain=gain)
        self._write()

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
        told = {"format": _FORMAT, "standing": json.dumps(asdict(self.standing)), "shapes": self._shapes()}
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
        self.standing = Standing(**json.loads(told["standing"]))
        self.steps = self.standing.steps
        return True

    def _shapes(self) -> str:
        return str({name: tuple(p.shape) for name, p in self._trained.items()})

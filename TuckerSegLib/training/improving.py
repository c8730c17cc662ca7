"""All levels of a network, trained in turns to answer as the original does: no labels, no end to wait for.

Adam takes steps on random patches, against the original's soft answers on the same patches (`soft_loss`), which are
made on the way. Steps come in cycles, over which the rate falls to nothing by half a cosine, each twice as long as one
that gained before it (Loshchilov and Hutter, arXiv 1608.03983): so no length is fixed beforehand, a cycle ends
with the time there is, and the training can be stopped and gone on with later. A cycle that gained little, or nothing,
which then counts as not taken, has the next one start at a quarter of its rate. Which level is next is decided by what
the last cycles of each gained a second on patches that are held out. A level never becomes worse there than it was.
"""

# mypy: allow-untyped-calls

import copy
import json
import math
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
Divergence = Callable[[nn.Module], float]
"""How far a network is from the original, nats a voxel."""

_FORMAT = "tuckerseg improvement 3"
_LITTLE = 0.05
"""The share of a level's divergence below which what a cycle gained asks for a lower rate."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What Adam keeps of a parameter."""


@dataclass(frozen=True)
class Schedule:
    """How levels are trained.

    Attributes:
        learning_rate, least_rate: Adam's at the beginning of a cycle, at first and at least.
        warm_up: the first steps of a cycle, which are shorter.
        steps: of the first cycle, and after how many of any other what was learnt is written down.
        longest: steps of a cycle at most.
        kept: by a level's weights, which are their running mean, at each step.
    """

    learning_rate: float = 1e-3
    least_rate: float = 1e-5
    warm_up: int = 20
    steps: int = 50
    longest: int = 1600
    kept: float = 0.98
    seed: int = 0


@dataclass(frozen=True)
class Standing:
    """Where a level stands: `steps` behind it, its `divergence` from the original, nats a voxel, at first and at best.

    Attributes:
        rate, length: of the cycle under way, or of the next.
        done, seconds: how much of that cycle is behind it.
        end: the steps after which it ends, fewer than its length where the time is too short.
        gain: what the last cycles took off a second; None before the first at this `rate`.
    """

    steps: int
    first: float
    best: float
    rate: float
    length: int
    done: int = 0
    seconds: float = 0.0
    end: int = 0
    gain: float | None = None

    def promise(self, seconds: float) -> float:
        """What a cycle of so many seconds may take off a second: all there is, where this rate was not tried."""
        return self.best / seconds if self.gain is None else self.gain


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
        self._seconds = 1.0

    @property
    def standings(self) -> dict[str, Standing]:
        """The standing of each level."""
        return {name: level.standing for name, level in self._levels.items()}

    def level(self, name: str) -> nn.Module:
        """The best there is of a level."""
        return self._levels[name].best()

    def train(self, seconds: float, progress: Progress | None = None) -> None:
        """Train for as long; `progress` is told of whole seconds, and may raise to stop.

        What a cycle that is stopped has gained by then is kept, and a later call goes on with it.
        """
        start = time.perf_counter()
        try:
            while (gone := time.perf_counter() - start) < seconds:
                if progress:
                    progress.step(int(gone), max(1, int(seconds)))
                self._go_on(self._next(), seconds - gone)
        finally:
            for level in self._levels.values():
                level.stop(self._divergence)

    def _next(self) -> "_Level":
        """The level whose cycle is under way, or that which promises most."""
        levels = self._levels.values()
        under_way = [level for level in levels if level.standing.done]
        return under_way[0] if under_way else max(levels, key=lambda level: level.standing.promise(self._seconds))

    def _go_on(self, level: "_Level", seconds: float) -> None:
        """Some steps of a cycle, which is to end within the seconds."""
        start, steps = time.perf_counter(), level.fit_into(seconds)
        for _ in range(steps):
            patch = self._patches(np.random.default_rng([self._schedule.seed, level.standing.steps]))[None]
            patch = patch.to(self._device)
            level.learn(patch, self._answer(patch))
        level.spend(time.perf_counter() - start)
        if level.is_through:
            self._seconds = level.standing.seconds
            level.judge(self._divergence)
        level.write()

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
        self._seconds_a_step = 0.0
        self.standing = self._at_first(0.0)
        self._from_best()

    def start(self, divergence: Divergence) -> None:
        """From the file, where there is one for this level."""
        if not self._read():
            self.standing = self._at_first(divergence(self._shell))

    def best(self) -> nn.Module:
        return self._with(self._best)

    @property
    def is_through(self) -> bool:
        """Whether the cycle under way has come to its end."""
        return self.standing.done >= self.standing.end

    def fit_into(self, seconds: float) -> int:
        """How many steps are next; the cycle becomes shorter where the seconds are too few for the rest of it."""
        now = self.standing
        each = now.seconds / now.done if now.done else self._seconds_a_step
        left = now.length - now.done
        left = max(1, min(left, int(seconds / each))) if each else left
        self.standing = replace(now, end=now.done + left)
        return min(left, self._schedule.steps)

    def learn(self, patch: Tensor, answer: Tensor) -> None:
        """One step."""
        for group in self._adam.param_groups:
            group["lr"] = self._rate()
        with torch.enable_grad():
            half = half_precision(self._device)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=half, cache_enabled=False):
                scores = self._network(in_order(patch))
            loss = self._loss(scores.float().contiguous(), answer.contiguous())
            self._adam.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_(self._trained.values(), 12)
        self._adam.step()
        self.standing = replace(self.standing, steps=self.standing.steps + 1, done=self.standing.done + 1)
        kept = min(self._schedule.kept, 1 - 1 / (1 + max(0, self.standing.done - self._schedule.warm_up)))
        for name, parameter in self._trained.items():
            self._mean[name].lerp_(parameter.detach(), 1 - kept)

    def spend(self, seconds: float) -> None:
        """What the last steps took."""
        self.standing = replace(self.standing, seconds=self.standing.seconds + seconds)
        self._seconds_a_step = self.standing.seconds / max(1, self.standing.done)

    def judge(self, divergence: Divergence) -> None:
        """At the end of a cycle: keep the mean where it is better, go on from the best, and plan the next cycle."""
        before = self.standing
        self._keep_if_better(divergence)
        gained = before.best - self.standing.best
        gain = gained / max(before.seconds, 1e-9)
        may_fall = before.rate / 4 >= self._schedule.least_rate
        if before.done < before.length // 2:
            planned = self.standing  # too short to tell whether the rate is right
        elif gained == 0 or (may_fall and gained < _LITTLE * before.best):
            # A level that no rate helps waits until the others' gains are used up, too.
            planned = replace(self.standing, rate=before.rate / 4, gain=None if may_fall else 0.0)
        else:
            gain = gain if before.gain is None else (gain + before.gain) / 2
            planned = replace(self.standing, gain=gain, length=min(2 * before.length, self._schedule.longest))
        self.standing = replace(planned, done=0, seconds=0.0, end=0)
        self._from_best()

    def stop(self, divergence: Divergence) -> None:
        """In the middle of a cycle, which may be gone on with: what it has gained until now is kept."""
        if self.standing.done:
            self._keep_if_better(divergence)
            self.write()

    def write(self) -> None:
        """Write everything down that is needed to go on."""
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

    def _at_first(self, divergence: float) -> Standing:
        return Standing(0, divergence, divergence, self._schedule.learning_rate, self._schedule.steps)

    def _rate(self) -> float:
        """From the cycle's own to nothing, after a short rise."""
        now, number = self.standing, self.standing.done + 1
        return now.rate * min(1.0, number / self._schedule.warm_up) * (1 + math.cos(math.pi * number / now.end)) / 2

    def _keep_if_better(self, divergence: Divergence) -> None:
        found = divergence(self._with(self._mean))
        if found < self.standing.best:
            self._best = {name: p.clone() for name, p in self._mean.items()}
            self.standing = replace(self.standing, best=found)

    def _from_best(self) -> None:
        """What is trained, and its mean, are the best there was; Adam knows nothing yet."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(self._best[name])
        self._mean = {name: p.clone() for name, p in self._best.items()}
        self._adam = torch.optim.Adam(self._trained.values(), self.standing.rate)

    def _with(self, weights: Weights) -> nn.Module:
        network = copy.deepcopy(self._shell)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
        return network

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
        return True

    def _shapes(self) -> str:
        return str({name: tuple(p.shape) for name, p in self._trained.items()})

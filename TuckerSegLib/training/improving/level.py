"""One level while it is trained: what is trained, its running mean, the best mean so far, and where that stands."""

# mypy: allow-untyped-calls

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...decomposition.fast_passes import for_training, half_precision, in_order
from ...volumes.output import whole_file
from ..per_core import PerCore
from .muon import Muon

Weights = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Divergence = Callable[[nn.Module], float]
"""How far a network is from the original, nats a voxel."""

_FORMAT = "tuckerseg improvement 4"
_LITTLE = 0.05
"""The share of a level's divergence below which what a cycle gained asks for a lower rate."""

_MOMENTS = ("momentum", "exp_avg", "exp_avg_sq", "step")
"""What is kept of a weight from one step to the next."""


@dataclass(frozen=True)
class Schedule:
    """How levels are trained.

    Attributes:
        learning_rate, least_rate: `Muon`'s at the beginning of a cycle, at first and at least.
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

    def promise(self, step: float) -> float:
        """What the next cycle, of steps that take so long, may take off a second: all, where its rate was not tried."""
        return self.best / (step * self.length) if self.gain is None else self.gain


class Level:
    """One level: what is trained, its running mean, and the best mean so far."""

    def __init__(
        self,
        level: nn.Module,
        path: Path,
        schedule: Schedule,
        loss: Loss,
        per_core: PerCore,
        device: torch.device,
    ) -> None:
        self._shell, self._path, self._schedule = level, path, schedule
        self._loss, self._per_core, self._device = loss, per_core, device
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

    def learn(self, patches: Tensor, answers: Tensor) -> None:
        """One step, on patches (N, C, *spatial) with the original's answers (N, K, *spatial)."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        gradients = self._per_core.map(self._gradient, patches, answers)
        for parameter, *parts in zip(self._trained.values(), *gradients, strict=True):
            found = [part for part in parts if part is not None]
            parameter.grad = torch.stack(found).mean(0) if found else None
        nn.utils.clip_grad_norm_(self._trained.values(), 12)
        self._optimizer.step()
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
        tensors = {f"trained/{name}": p.detach() for name, p in self._trained.items()}
        tensors |= {f"mean/{name}": p for name, p in self._mean.items()}
        tensors |= {f"best/{name}": p for name, p in self._best.items()}
        names = list(self._trained)
        for index, kept in self._optimizer.moments().items():  # heads that inference does not use have none
            tensors |= {f"{kind}/{names[index]}": moment for kind, moment in kept.items()}
        told = {"format": _FORMAT, "standing": json.dumps(asdict(self.standing)), "shapes": self._shapes()}
        with whole_file(self._path) as partial:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, told)

    def _at_first(self, divergence: float) -> Standing:
        return Standing(0, divergence, divergence, self._schedule.learning_rate, self._schedule.steps)

    def _gradient(self, patches: Tensor, answers: Tensor) -> tuple[Tensor | None, ...]:
        """Of each weight; None for heads that inference does not use."""
        half = half_precision(self._device)
        with torch.enable_grad(), torch.autocast(self._device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            scores = self._network(in_order(patches))
            return torch.autograd.grad(self._loss(scores, answers), list(self._trained.values()), allow_unused=True)

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
        """What is trained, and its mean, are the best there was; the optimizer knows nothing yet."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(self._best[name])
        self._mean = {name: p.clone() for name, p in self._best.items()}
        self._optimizer = Muon(list(self._trained.values()), self.standing.rate)

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
        kept = {
            index: {kind: tensors[key] for kind in _MOMENTS if (key := f"{kind}/{name}") in tensors}
            for index, name in enumerate(self._trained)
        }
        self._optimizer.go_on_from({index: moments for index, moments in kept.items() if moments})
        self.standing = Standing(**json.loads(told["standing"]))
        return True

    def _shapes(self) -> str:
        return str({name: tuple(p.shape) for name, p in self._trained.items()})

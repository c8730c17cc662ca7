"""All levels of a network, trained in turns to answer as the original does: no labels, no end to wait for.

`Muon` takes steps on random patches, against the original's soft answers on the same patches (`soft_loss`), which are
made on the way and serve twice. Steps come in cycles, over which the rate falls to nothing by half a cosine, each twice
as long as one that gained before it (Loshchilov and Hutter, arXiv 1608.03983): so no length is fixed beforehand, a
cycle ends with the time there is, and the training can be stopped and gone on with later. A cycle that gained little,
or nothing, which then counts as not taken, has the next one start at a quarter of its rate. Which level is next is
decided by what the last cycles of each gained a second on patches that are held out. A level never becomes worse there
than it was.
"""

# mypy: allow-untyped-calls

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...decomposition.calibration.correction import quick, run
from ...progress import Progress
from ...volumes.output import make_folder
from ..per_core import PerCore, patches_at_once
from ..soft_loss import soft_loss, soft_loss_of_regions
from .answered import Answer, AnsweredPatches, Patches
from .level import Level, Schedule, Standing

_SCHEDULE = Schedule()


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
        schedule: Schedule = _SCHEDULE,
        regions: bool = False,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        make_folder(folder)
        self._device, self._answered = device, AnsweredPatches(patches, original, device)
        self._held_out = [self._answered.of(patch[None]) for patch in held_out]
        shape = tuple(held_out.shape[1:])
        self._batch = min((patches_at_once(level, shape, device) for level in levels.values()), default=1)
        per_core = PerCore(device, self._batch)
        self._schedule, self._likelihoods = schedule, _of_regions if regions else _of_labels
        loss = soft_loss_of_regions if regions else soft_loss
        self._levels = {
            name: Level(level, folder / f"{name}.safetensors", schedule, loss, per_core, device)
            for name, level in levels.items()
        }
        for level in self._levels.values():
            level.start(self._divergence)
        self._step = 1.0

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

    def _next(self) -> Level:
        """The level whose cycle is under way, or that which promises most."""
        levels = self._levels.values()
        under_way = [level for level in levels if level.standing.done]
        return under_way[0] if under_way else max(levels, key=lambda level: level.standing.promise(self._step))

    def _go_on(self, level: Level, seconds: float) -> None:
        """Some steps of a cycle, which is to end within the seconds."""
        start, steps = time.perf_counter(), level.fit_into(seconds)
        for _ in range(steps):
            random = np.random.default_rng([self._schedule.seed, level.standing.steps])
            level.learn(*self._answered.batch(random, self._batch))
        level.spend(time.perf_counter() - start)
        if level.is_through:
            self._step = level.standing.seconds / level.standing.done
            level.judge(self._divergence)
        level.write()

    def _divergence(self, network: nn.Module) -> float:
        """KL(original || network) on what is held out, nats a voxel."""
        network = quick(network, self._device)
        found = 0.0
        for patch, answer in self._held_out:
            p, q = (self._likelihoods(x[0].flatten(1).float()) for x in (answer, run(network, patch)))
            found += float((p.exp() * (p - q)).sum() / p.shape[-1])
        return found / len(self._held_out)


def _of_labels(scores: Tensor) -> Tensor:
    """Logarithms of the probabilities of labels, from scores (labels, voxels)."""
    return scores.log_softmax(0)


def _of_regions(scores: Tensor) -> Tensor:
    """The same of each region and its absence, (2, regions, voxels)."""
    return torch.stack((functional.logsigmoid(scores), functional.logsigmoid(-scores)))

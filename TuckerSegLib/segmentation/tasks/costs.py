"""How far a run of several networks is, from how far each of them is."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from ...models.totalsegmentator.tasks import Network, Spacing, Task
from ...progress import Event, ProgressCallback

_CROPPED = 0.25
"""The share of an image that a task which looks at a part of it is taken to see."""

_WORTH_TELLING = 0.03
"""Below this fraction of a run, how long it will take is not known."""


class Overall:
    """Tells `progress` of the whole run; `costs` says how long each network takes, in any unit."""

    def __init__(self, progress: ProgressCallback | None, costs: Sequence[float]) -> None:
        self._progress = progress
        self._ends = np.cumsum(costs) / np.sum(costs)
        self._current = -1
        self._began = perf_counter()
        self._fraction = 0.0
        self._waiting = False

    def next(self) -> None:
        """The next network is wanted, and loads."""
        self._current += 1
        self._waiting = True
        self._tell("load" if self._current == 0 else "compress", 0.0)

    def loading(self, progress: Event) -> None:
        """What is done to get the next network ready; worth telling while the run waits for it."""
        if self._waiting and self._progress:
            self._progress(replace(progress, fraction=self._fraction, seconds_left=self._seconds_left()))

    def network(self, progress: Event) -> None:
        """What the current network says of itself."""
        self._waiting = False
        self._tell(progress.stage, progress.fraction)

    def finish(self) -> None:
        self._current = len(self._ends) - 1
        self._tell("postprocess", 1.0)

    def _tell(self, stage: str, fraction: float) -> None:
        start = self._ends[self._current - 1] if self._current else 0.0
        reached = float(start + fraction * (self._ends[self._current] - start))
        self._fraction = min(1.0, max(self._fraction, reached))
        if self._progress:
            self._progress(Event(stage, self._fraction, self._seconds_left()))

    def _seconds_left(self) -> float | None:
        if self._fraction < _WORTH_TELLING:
            return None
        return (perf_counter() - self._began) * (1 - self._fraction) / self._fraction


def costs_of(task: Task, size: Spacing, own: Spacing) -> list[float]:
    """What each network of `task.all_networks()` costs on an image of `size` mm with the spacing `own`: voxels."""
    return [cost for _, cost in _costs(task, float(np.prod(size)), own)]


def _costs(task: Task, extent: float, own: Spacing) -> list[tuple[Network, float]]:
    earlier = [other for other in (task.crop and task.crop.task, task.refined_by) if other]
    costs = [cost for other in earlier for cost in _costs(other, extent, own)]
    voxels = extent / float(np.prod(task.spacing or own)) * (_CROPPED if task.crop else 1.0)
    return [*costs, *((network, voxels) for network in task.networks)]

"""How far a run of several networks is, from how far each of them is."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from ...models.totalsegmentator.tasks import Network, Spacing, Task
from ...progress import Event, Progress

_CROPPED = 0.25
"""The share of an image that a task which looks at a part of it is taken to see."""

_WORTH_TELLING = 0.03
"""Below this fraction of a run, how long it will take is not known."""


class Overall:
    """The progress of a run of several networks, the `whole`; `costs` says how long each takes, in any unit.

    Attributes:
        loading: of whatever gets the next network ready, beside the run or while it waits. It is told while the run
            waits, and has a wish to stop of its own.
    """

    def __init__(self, whole: Progress, costs: Sequence[float]) -> None:
        self._whole = whole
        self._ends = np.cumsum(costs) / np.sum(costs)
        self._current = -1
        self._began = perf_counter()
        self._fraction = 0.0
        self._waiting = False
        self.loading = Progress(self._loads)

    def check(self) -> None:
        """Raises Cancelled where the whole run was cancelled."""
        self._whole.check()

    def next(self) -> Progress:
        """The next network is wanted, and loads; the progress of its run."""
        self._current += 1
        self._waiting = True
        self._tell("load" if self._current == 0 else "compress", 0.0)
        return Progress(self._runs, self._whole)

    def finish(self) -> None:
        self._current = len(self._ends) - 1
        self._tell("postprocess", 1.0)

    def _loads(self, event: Event) -> None:
        if self._waiting:
            self._whole.tell(replace(event, fraction=self._fraction, seconds_left=self._seconds_left()))

    def _runs(self, event: Event) -> None:
        self._waiting = False
        self._tell(event.stage, event.fraction)

    def _tell(self, stage: str, fraction: float) -> None:
        start = self._ends[self._current - 1] if self._current else 0.0
        reached = float(start + fraction * (self._ends[self._current] - start))
        self._fraction = min(1.0, max(self._fraction, reached))
        self._whole.tell(Event(stage, self._fraction, self._seconds_left()))

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

"""How a task runs, where a user may differ from TotalSegmentator."""

from dataclasses import dataclass

from ...models.totalsegmentator.tasks import Task
from ..one_model import STEP

_WIDE_STEP = 0.8

_WIDE = ("total", "total_v3", "total_mr")
"""Patches of these tasks' networks overlap less."""


@dataclass(frozen=True)
class How:
    """Whether connected parts below 200 mm3 are cleared, and the patches' distance; None for the task's own."""

    remove_small_blobs: bool = False
    step: float | None = None

    def step_of(self, task: Task) -> float:
        """The distance between patches of the task's networks, as a share of their size."""
        return self.step or (_WIDE_STEP if task.base in _WIDE else STEP)

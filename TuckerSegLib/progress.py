"""How far a run is, and the wish to stop it; free of PyTorch, so that any process can import it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from .errors import Cancelled

PREPARING = ("start", "load", "download", "measure", "calibrate", "compress", "images")
"""Stages that come before a run's own work: they leave its fraction where it is, and tell `number` and `count`."""


@dataclass(frozen=True)
class Event:
    """Where a run stands.

    `stage` is "start" (of the worker), "measure" (what is fast on this computer, once), "compress", "preprocess",
    "predict" or "postprocess", `fraction` is of the whole run, 0 to 1. `seconds_left` of the whole run is None until
    the network has run once. While layers are measured, the `number`th of `count` is.
    """

    stage: str
    fraction: float
    seconds_left: float | None
    number: int = 0
    count: int = 0


Tell = Callable[[Event], None]


class Progress:
    """One run, as far as it is told to others: its stages, their steps, the time left, and the wish to stop it.

    Whoever starts a run makes one and hands it down; whoever works calls `stage` and `step`. Each of these raises
    `Cancelled` once somebody has called `cancel`, from any thread, so that nobody else needs to ask.
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell
        self._asked = threading.Event()
        self._began = self._entered = perf_counter()
        self._stage = ""
        self._fraction = 0.0
        self.seconds: dict[str, float] = {}
        """What each stage took so far, those that were entered several times summed up."""

    def cancel(self) -> None:
        """Ask the run to stop, which it does before its next step."""
        self._asked.set()

    @property
    def cancelled(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """
        Raises:
            Cancelled: `cancel` was called.
        """
        if self.cancelled:
            raise Cancelled("The segmentation was cancelled.")

    def stage(self, name: str) -> None:
        """The run enters the stage called `name`; raises as `check`."""
        self._leave()
        self._stage = name
        self._report(None)

    def step(self, done: int, count: int, later: float = 0.0) -> None:
        """`done` of the stage's `count` equal steps are behind; the stages after it will take `later` seconds.

        Raises as `check`.
        """
        elapsed = perf_counter() - self._entered
        self._report(elapsed / done * (count - done) + later if done else None, done, count)

    def finish(self) -> None:
        """The run is at its end; raises as `check`."""
        self._leave()
        self._report(0.0)

    def part(self, index: int, count: int) -> "Progress":
        """The progress of the part number `index`, from 0, of `count` equal ones: cancelled and told with the whole."""
        return _Part(self, index, count)

    def _leave(self) -> None:
        self.check()
        now = perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._entered
        self._entered = now

    def _report(self, seconds_left: float | None, number: int = 0, count: int = 0) -> None:
        self.check()
        if seconds_left is not None and self._stage not in PREPARING:
            elapsed = perf_counter() - self._began
            self._fraction = max(self._fraction, elapsed / max(elapsed + seconds_left, 1e-9))
        self.tell(Event(self._stage, self._fraction, seconds_left, number, count))

    def tell(self, event: Event) -> None:
        """Hand an event on as it is: for those who hear of a run elsewhere."""
        if self._tell:
            self._tell(event)


class _Part(Progress):
    """One of several equal parts of a run."""

    def __init__(self, whole: Progress, index: int, count: int) -> None:
        super().__init__()
        self._asked = whole._asked
        self._whole, self._index, self._count = whole, index, count

    def tell(self, event: Event) -> None:
        left = event.seconds_left
        if left is not None:
            left += (perf_counter() - self._began + left) * (self._count - self._index - 1)
        fraction = (self._index + event.fraction) / self._count
        self._whole.tell(Event(event.stage, fraction, left, event.number, event.count))


ProgressCallback = Tell


class Cancellation:
    """A wish to stop, told from any thread and seen by the run before its next step."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def cancel(self) -> None:
        self._asked.set()

    @property
    def cancelled(self) -> bool:
        return self._asked.is_set()

    def raise_if_cancelled(self) -> None:
        """
        Raises:
            Cancelled: `cancel` was called.
        """
        if self.cancelled:
            raise Cancelled("The segmentation was cancelled.")

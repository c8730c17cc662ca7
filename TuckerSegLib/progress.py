"""How far a run is, and the wish to stop it; free of PyTorch, so that any process can import it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

from .errors import Cancelled

PREPARING = ("start", "load", "measure", "calibrate", "compress", "images")
"""Stages that come before a run's own work: they leave its fraction where it is."""


@dataclass(frozen=True)
class Event:
    """Where a run stands.

    Attributes:
        stage: "start" (of the worker), "load", "measure" (what is fast on this computer, once), "calibrate",
            "compress", "images" (preprocessed before a training), "preprocess", "predict", "check",
            "postprocess", "resample", "download", "train", or what a caller named.
        fraction: of the whole run, 0 to 1; it never falls.
        seconds_left: of the whole run, None while that is unknown; while it is being prepared, of that stage alone.
        number, count: of the steps of a preparing stage, such as layers, the `number`th of `count` is under way;
            0 where there are none.
    """

    stage: str
    fraction: float
    seconds_left: float | None
    number: int = 0
    count: int = 0


Listener = Callable[[Event], None]


class Progress:
    """One run, as far as it is told to others: its stages, their steps, the time left, and the wish to stop it.

    Whoever starts a run makes one and hands it down; whoever works calls `stage`, and `step` before each step. Each of
    these raises `Cancelled` once somebody has called `cancel`, from any thread, so that nobody else needs to ask.

    Args:
        listener: called with each event, in the thread that works; what it raises ends the run.
        whole: what this is a part of, which is cancelled with it. Its events reach the listener alone.
    """

    def __init__(self, listener: Listener | None = None, whole: "Progress | None" = None) -> None:
        self._listener = listener
        self._asked: threading.Event = whole._asked if whole else threading.Event()
        self._began: float | None = None
        self._entered = perf_counter()
        self._first_step: tuple[float, int] | None = None
        self._stage = ""
        self._later = 0.0
        self._fraction = 0.0
        self.seconds: dict[str, float] = {}
        """What each stage took so far, in the order they were entered."""

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
            raise Cancelled("The run was cancelled.")

    def stage(self, name: str, later: float = 0.0) -> None:
        """Enter the stage called `name`, unless the run is in it; the stages after it will take about `later` seconds.

        Raises as `check`.
        """
        self.check()
        if name != self._stage:
            self._leave()
            self._stage, self._later = name, later
            self._first_step = None
            if self._began is None and name not in PREPARING:
                self._began = self._entered
            self._report(None)

    def step(self, done: int, count: int) -> None:
        """The next of the stage's `count` equal steps begins, with `done` behind; raises as `check`."""
        now = perf_counter()
        if self._first_step is None or done <= self._first_step[1]:
            self._first_step = now, done
        began, first = self._first_step
        left = (now - began) / (done - first) * (count - done) + self._later if done > first else None
        self._report(left, done + 1, count)

    def finish(self) -> None:
        """The run is at its end; raises as `check`."""
        self.check()
        self._leave()
        self._report(0.0)

    def part(self, index: int = 0, count: int = 1) -> "Progress":
        """The progress of the part number `index`, from 0, of `count` equal ones: cancelled and told with the whole."""
        began = perf_counter()

        def tell(event: Event) -> None:
            left = event.seconds_left
            if left is not None and event.stage not in PREPARING:
                left += (perf_counter() - began + left) * (count - index - 1)
            self.tell(replace(event, fraction=(index + event.fraction) / count, seconds_left=left))

        return Progress(tell, self)

    def tell(self, event: Event) -> None:
        """Hand an event on: for those who hear of the run from elsewhere, such as another process."""
        self._fraction = max(self._fraction, event.fraction)
        if self._listener:
            self._listener(replace(event, fraction=self._fraction))

    def _leave(self) -> None:
        now = perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._entered
        self._entered = now

    def _report(self, seconds_left: float | None, number: int = 0, count: int = 0) -> None:
        self.check()
        preparing = self._stage in PREPARING
        fraction = self._fraction
        if seconds_left is not None and self._began is not None and not preparing:
            elapsed = perf_counter() - self._began
            fraction = elapsed / max(elapsed + seconds_left, 1e-9)
        number, count = (min(number, count), count) if preparing else (0, 0)
        self.tell(Event(self._stage, fraction, seconds_left, number, count))


def seconds_together(*runs: Mapping[str, float]) -> dict[str, float]:
    """The seconds of each stage, of all runs."""
    stages = dict.fromkeys(stage for run in runs for stage in run)
    return {stage: sum(run.get(stage, 0.0) for run in runs) for stage in stages}

"""A run: jobs of the worker one after the other, whose results reach the scene at the end or not at all.

What a run does is written as a generator that yields a `Step` whenever it needs the worker, and is given that job's
result; `Run` drives it without ever waiting, so that a timer can do so while the application stays responsive.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.progress import Event

from .work import Work


@dataclass(frozen=True)
class Step:
    """One piece of work, which of how many it is, and what it does in words; empty where the stage says enough."""

    job: Work
    index: int = 0
    count: int = 1
    title: str = ""


@dataclass(frozen=True)
class Advance(Event):
    """How far a run is as a whole; `seconds_left` are those of the present step, which `title` names."""

    title: str = ""


Steps = Generator[Step, Any, Any]


class Run:
    """Drives one generator of steps; `nodes` are those it cannot do without."""

    def __init__(self, steps: Steps, nodes: Sequence["slicer.vtkMRMLNode"] = ()) -> None:
        self._steps = steps
        self._nodes = [(node, node.GetName()) for node in nodes]
        self._step: Step | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._reason = ""
        self._advancing = False
        self.done = False

    def start(self) -> None:
        """The first step; what goes wrong is told by `result`."""
        self._advance(None)

    def poll(self) -> list[Advance]:
        """What happened since the last call; takes the next step where a job has ended."""
        # Putting a result into the scene may process events, and with them the timer that calls this.
        if self._step is None or self._advancing:
            return []
        if self.done:
            self._step.job.poll()  # a job that does not heed its cancellation is ended by being asked
            return []
        self._check_nodes()
        step = self._step
        events = [_advance(step, progress) for progress in step.job.poll()]
        if step.job.done:
            self._take_result(step.job)
        return events

    def cancel(self, reason: str = "") -> None:
        """Ask the run to stop; nothing of it reaches the scene from now on. `reason` is for the user."""
        if self.done:
            return
        self._reason = self._reason or reason
        if self._step:
            self._step.job.cancel()
        self._end(Cancelled(self._reason or _("Cancelled: the scene is as it was.")))

    @property
    def settled(self) -> bool:
        """Whether the worker is done with it as well, which may come later than `done`."""
        return self.done and (self._step is None or self._step.job.done)

    @property
    def cancelled(self) -> bool:
        return isinstance(self._error, Cancelled)

    @property
    def reason(self) -> str:
        """Why it was cancelled; empty where the user asked for it."""
        return self._reason

    def result(self) -> Any:
        """What the generator returned.

        Raises:
            TuckerSegError: what it, or the worker, raised.
        """
        if self._error is not None:
            raise self._error
        return self._result

    def _check_nodes(self) -> None:
        for node, name in self._nodes:
            if node.GetScene() is None:
                self.cancel(_("{name} was deleted, so its segmentation was cancelled.").format(name=name))

    def _take_result(self, job: Work) -> None:
        if self.done:
            return
        try:
            result = job.result()
        except Exception as error:
            self._end(error)
        else:
            self._advance(result)

    def _advance(self, result: Any) -> None:
        self._advancing = True
        try:
            step = self._steps.send(result)
        except StopIteration as end:
            self._result = end.value
            self.done = True
        except Exception as error:
            self._end(error)
        else:
            self._step = step
            if self.done:  # cancelled by what the generator itself set off
                step.job.cancel()
        finally:
            self._advancing = False

    def _end(self, error: BaseException) -> None:
        self._error = error
        self.done = True
        if not self._advancing:
            self._steps.close()


def _advance(step: Step, progress: Event) -> Advance:
    fraction = (step.index + progress.fraction) / step.count
    return Advance(progress.stage, fraction, progress.seconds_left, progress.number, progress.count, step.title)

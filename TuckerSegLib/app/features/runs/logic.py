"""Runs of the worker, one after the other, while the page stays alive; nothing is left of one that ends early."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trame_server import Server

from ....errors import Cancelled, TuckerSegError
from ....progress import Event
from ....words import stages
from ....worker.jobs import Job
from ..desk import Desk
from ..feature import Feature
from .state import RunState

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class Step:
    """A piece of work that `begin` starts, and what it is called where a run has several."""

    begin: Callable[[], Job]
    title: str = ""


class RunLogic(Feature[RunState]):
    """One run at a time."""

    def __init__(self, server: Server, desk: Desk) -> None:
        super().__init__(server, RunState)
        self._desk = desk
        self._job: Job | None = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        return bool(self.data.busy)

    async def run(self, steps: Sequence[Step]) -> list[Any] | None:
        """The results of all steps; None where one failed or was cancelled, which the page then says."""
        if self.busy:
            return None
        self.data.busy, self.data.percent, self.data.details = True, None, ""
        self._say("Starting", "plain")
        self._cancelled = False
        try:
            return [await self._do(step, number, len(steps)) for number, step in enumerate(steps)]
        except Cancelled:
            self._say("Cancelled: nothing has changed.", "plain")
        except TuckerSegError as error:
            self.data.details = error.details or self._desk.client.log_tail()
            self._say(str(error), "failed")
        finally:
            self.data.busy, self._job = False, None
            self.flush()
        return None

    async def call(self, method: str, **arguments: Any) -> Any:
        """What the worker answers beside runs; None where it cannot."""
        job = self._desk.client.call(method, **arguments)
        while not job.done:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        try:
            return job.result()
        except TuckerSegError:
            return None

    def cancel(self) -> None:
        """Ask the run to stop, which it does before its next patch."""
        if self.busy and not self._cancelled:
            self._cancelled = True
            self._say("Cancelling", "plain")
            if self._job is not None:
                self._job.cancel()

    def say(self, text: str, meaning: str = "good") -> None:
        """How a run ended, or why none is needed."""
        self._say(text, meaning)

    def close(self) -> None:
        """End the worker and whatever it is doing."""
        self._desk.client.close()

    async def _do(self, step: Step, number: int, count: int) -> Any:
        if self._cancelled:
            raise Cancelled
        self._job = job = step.begin()
        while not job.done:
            for event in job.poll():
                self._show(event, step.title, number, count)
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        return job.result()

    def _show(self, event: Event, title: str, number: int, count: int) -> None:
        """While a run is being prepared its fraction stands: the bar shows the stage's, or that something goes on."""
        if self._cancelled:
            return
        fraction: float | None = (number + event.fraction) / count
        if stages.is_preparing(event):
            fraction = event.number / event.count if event.count else None
        self.data.percent = None if fraction is None else round(100 * fraction, 1)
        self._say(stages.describe(event, title), "plain")

    def _say(self, text: str, meaning: str) -> None:
        self.data.status, self.data.meaning = text, meaning
        self.flush()

"""How far a cohort is, on standard error: a bar on a terminal, a line now and then in a log."""

import time
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ...cohorts.expected import Expected, duration
from ...cohorts.manifest import DONE
from ...cohorts.running import Listener
from .. import console

_SECONDS_BETWEEN_LINES = 60.0


class Bar:
    """Shows what the `listener` hears and the records that are taken; `done` scans were segmented so far."""

    def __init__(self) -> None:
        text = TextColumn("{task.description}", markup=False)
        self._bar = Progress(
            text, BarColumn(), MofNCompleteColumn(), console=console.errors, transient=True, disable=not _is_terminal()
        )
        self._task = self._bar.add_task("Starting", total=None)
        self._began, self._first, self._told = time.monotonic(), 0, time.monotonic()
        self._left = 0
        self.done, self.failed = 0, 0
        self.listener = Listener(console.say, self._expect, self._begin, self._link)

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def take(self, record: dict[str, Any]) -> None:
        """A scan has ended."""
        ended_well = record["event"] == DONE
        self.done, self.failed, self._left = self.done + ended_well, self.failed + (not ended_well), self._left - 1
        if not ended_well:
            console.say_error(f"{record['id']}: {record['sentence']}")
        self._first += 1
        self._bar.update(self._task, advance=1, description=self._pace())
        if not _is_terminal() and time.monotonic() - self._told > _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            console.say(f"{self._first:,} of {self._first + max(self._left, 0):,} scans: {self._pace()}")

    def _begin(self, done: int, total: int) -> None:
        self._left = total - done
        self._bar.update(self._task, completed=done, total=total)
        if total > done:
            console.say(f"{total - done:,} of {total:,} scans to go; the first, the largest, tells what they take.")

    def _expect(self, expected: Expected) -> None:
        console.say(sentence(expected))
        self._began, self._first = time.monotonic(), 0

    def _link(self, address: str) -> None:
        console.say(f"Dask's view of the workers: {address}")

    def _pace(self) -> str:
        pace = self._first / max(time.monotonic() - self._began, 1e-3)
        failed = f", {self.failed:,} failed" if self.failed else ""
        left = duration(max(self._left, 0) / pace)
        return f"{pace * 3600:,.0f} scans an hour, {left} left{failed}"


def sentence(expected: Expected) -> str:
    """What is to be done and what it takes, in one line."""
    workers = "1 worker" if expected.workers == 1 else f"{expected.workers} workers"
    return (
        f"{expected.scans:,} scans to go ({console.size(expected.size)}): "
        f"about {duration(expected.seconds)} on {workers}, "
        f"{console.size(expected.memory)} of memory, {console.size(expected.disk)} of disk."
    )


def _is_terminal() -> bool:
    return console.errors.is_terminal

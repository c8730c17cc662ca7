"""Keeps runs going while the application does, and tells whoever started them what becomes of them."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import qt
import slicer

from .run import Advance, Run

MILLISECONDS_BETWEEN_POLLS = 100

SECONDS_BETWEEN_LOOKS = 0.01
"""While somebody waits for a run."""


def ignore(_value: Any) -> None:
    """For those who do not want to be told."""


@dataclass(frozen=True, eq=False)
class Listener:
    """Whom to tell of one run: of its progress, and of its result or its error once it has ended."""

    run: Run
    progress: Callable[[Advance], None] = ignore
    finished: Callable[[Any], None] = ignore
    failed: Callable[[BaseException], None] = ignore


class Runner:
    """Polls runs from a timer of the application for as long as there are any."""

    _busy: ClassVar[set["Runner"]] = set()
    """Held here while they have something to wait for: scripts need not hold the logic whose callback they await."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._settling: list[Run] = []
        self._timer = qt.QTimer()
        self._timer.interval = MILLISECONDS_BETWEEN_POLLS
        this = weakref.ref(self)  # the connection must not hold what holds the timer
        self._timer.connect("timeout()", lambda: _on_timer(this))

    def start(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.run.start()
        Runner._busy.add(self)
        self._timer.start()
        if listener.run.done:  # a volume or a setting that cannot be used
            self.poll()

    def poll(self) -> None:
        """One look at every run; called by the timer, and by whoever waits for a run."""
        for listener in list(self._listeners):
            for advance in listener.run.poll():
                listener.progress(advance)
            if listener.run.done and listener in self._listeners:
                self._listeners.remove(listener)
                self._settling.append(listener.run)
                _tell_end(listener)
        for run in self._settling:
            run.poll()
        self._settling = [run for run in self._settling if not run.settled]

    def wait(self, run: Run) -> Any:
        """The result of a run that was started, once it is there; events are processed meanwhile.

        Raises:
            TuckerSegError: the run failed or was cancelled.
        """
        try:
            while not run.done:
                slicer.app.processEvents()
                self.poll()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            run.cancel()  # nothing happens where it is done
        return run.result()

    def forget(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()
        self._settling.clear()
        self.rest()

    def rest(self) -> None:
        """Stop the timer if there is nothing to wait for."""
        if not self._listeners and not self._settling:
            self._timer.stop()
            Runner._busy.discard(self)


def _on_timer(runner: "weakref.ref[Runner]") -> None:
    found = runner()
    if found is not None:
        found.poll()
        found.rest()


def _tell_end(listener: Listener) -> None:
    try:
        result = listener.run.result()
    except Exception as error:
        listener.failed(error)
    else:
        listener.finished(result)

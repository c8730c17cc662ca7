"""Keeps runs going while the application does, and tells whoever started them what becomes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt

from .runs import Advance, Run

MILLISECONDS_BETWEEN_POLLS = 100


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

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._settling: list[Run] = []
        self._armed = False

    def start(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.run.start()
        self._arm()

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

    def forget(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()
        self._settling.clear()

    def _arm(self) -> None:
        # Armed anew each time, so that the timer holds this object only while there is something to wait for.
        if (self._listeners or self._settling) and not self._armed:
            self._armed = True
            qt.QTimer.singleShot(MILLISECONDS_BETWEEN_POLLS, self._on_timer)

    def _on_timer(self) -> None:
        self._armed = False
        try:
            self.poll()
        finally:
            self._arm()


def _tell_end(listener: Listener) -> None:
    try:
        result = listener.run.result()
    except Exception as error:
        listener.failed(error)
    else:
        listener.finished(result)

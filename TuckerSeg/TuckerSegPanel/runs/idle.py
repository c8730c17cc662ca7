"""A worker that nobody asked for anything in a while is ended, as it holds memory; the next run starts another."""

import weakref
from typing import Any

import qt

from TuckerSegLib.worker.client import Client

from .run import Run

MILLISECONDS = 10 * 60 * 1000


class IdleTimer:
    """Ends the client's process some minutes after the last run that was started has ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runs: list[Run] = []
        self._timer = qt.QTimer()
        self._timer.interval = MILLISECONDS
        this = weakref.ref(self)  # the connection must not hold what holds the timer
        self._timer.connect("timeout()", lambda: _on_timer(this))

    def start(self, run: Run) -> None:
        """The minutes begin anew, and do not count while this run goes on."""
        self._runs = [known for known in (*self._runs, run) if not known.settled]
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def look(self) -> None:
        """The minutes are over."""
        self._runs = [run for run in self._runs if not run.settled]
        if not self._runs:
            self._timer.stop()
            self._client.close()


def _on_timer(timer: "weakref.ref[IdleTimer]") -> None:
    found: Any = timer()
    if found is not None:
        found.look()

"""What a run waits for: anything that goes on elsewhere, such as a job of the worker, can be polled and cancelled."""

from typing import Any, Protocol

from TuckerSegLib.progress import Event


class Work(Protocol):
    """The face of `TuckerSegLib.worker.jobs.Job`, as far as a run needs it."""

    @property
    def done(self) -> bool: ...

    def poll(self) -> list[Event]:
        """The progress since the last call; never waits for the end."""

    def cancel(self) -> None:
        """Ask it to stop, without waiting for that."""

    def result(self) -> Any:
        """What came of it; raises a TuckerSegError where it failed."""

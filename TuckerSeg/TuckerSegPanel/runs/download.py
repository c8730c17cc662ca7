"""Weights that the user agreed to download, fetched in a thread, so that the application goes on meanwhile."""

import threading
from collections import deque
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from TuckerSegLib.errors import Cancelled, TuckerSegError
from TuckerSegLib.progress import Event, Progress

from .run import Step, Steps

if TYPE_CHECKING:
    from TuckerSegLib.models.totalsegmentator.tasks import Task


def download(task: "Task") -> Steps:
    """The task's networks, from where TotalSegmentator publishes them."""
    return (yield Step(Download(task), title=task.name))


class Download:
    """One download, with what a run asks of a job of the worker."""

    def __init__(self, task: "Task") -> None:
        self._task = task
        self._events: deque[Event] = deque()
        self._ended = threading.Event()
        self._progress = Progress(self._events.append)
        self._error: Exception | None = None
        threading.Thread(target=self._fetch, daemon=True).start()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    def poll(self) -> list[Event]:
        """As `TuckerSegLib.client.Job.poll`: waits a moment, which lets the thread have Python's lock."""
        self._ended.wait(0.001)
        return [self._events.popleft() for _number in range(len(self._events))]

    def cancel(self) -> None:
        """Takes effect with the next piece that arrives; a later download goes on from there."""
        self._progress.cancel()

    def result(self) -> None:
        """
        Raises:
            TuckerSegError: it failed, or was cancelled.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def _fetch(self) -> None:
        try:
            from TuckerSegLib.models.totalsegmentator.download import install

            install(self._task, progress=self._progress)
        except Cancelled:
            self._error = Cancelled(_("The download was cancelled."))
        except TuckerSegError as error:
            self._error = error
        except Exception as error:
            self._error = TuckerSegError(_("The download failed: {reason}.").format(reason=error))
        finally:
            self._ended.set()

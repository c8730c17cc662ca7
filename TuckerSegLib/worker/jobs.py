"""Requests on their way: one job each, in a queue that the worker's process works off."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..errors import Cancelled, TuckerSegError, WorkerError
from ..progress import Event, Progress
from ..volumes.volume import LabelMap, Volume
from .exchange import Shared, attach, share, sweep
from .process import WorkerProcess
from .protocol import (
    Message,
    error_as_json,
    error_of,
    geometry_as_json,
    geometry_of,
    progress_of,
    segmentation_of,
)

_SECONDS_TO_CANCEL = 10.0
"""After this long, a worker that does not heed a cancellation is killed."""

_SECONDS_BETWEEN_POLLS = 0.05

_STARTING = Event("start", 0.0, None)


class Job:
    """One request, from the moment it was made."""

    def __init__(self, client: object, queue: "Queue", message: Message) -> None:
        # A client that nobody holds any more ends its worker, but not before its last job is done.
        self._client: object | None = client
        self._queue = queue
        self._events: deque[Event] = deque()
        self._ended = threading.Event()
        self._result: Any = None
        self._error: TuckerSegError | None = None
        self._cancelled_at: float | None = None
        self.message = message
        self.shared: Shared | None = None
        self.begun = False
        """Whether the worker has said anything about it."""

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled_at is not None

    def poll(self) -> list[Event]:
        """The progress since the last call; never waits for the worker.

        It gives up Python's lock for a moment, without which an application whose event loop holds that lock, as
        3D Slicer's does, would never hear from the worker.
        """
        self._ended.wait(0.001)
        self._insist_on_cancelling()
        return [self._events.popleft() for _ in range(len(self._events))]

    def result(self) -> Any:
        """A `Segmentation` for a segmentation, a JSON object for a call; waits until it is there.

        Raises:
            TuckerSegError: the request failed, as the error that the worker raised.
            Cancelled: `cancel` was called.
            WorkerError: the worker died; the next request starts a new one.
        """
        while not self._ended.wait(_SECONDS_BETWEEN_POLLS):
            self._insist_on_cancelling()
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self) -> None:
        """Ask it to stop, which takes effect before the next patch; does not wait for that."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
        self._queue.cancel(self)

    def wait(self, progress: Progress | None = None) -> Any:
        """`result`, telling of progress in this thread meanwhile; cancelled with `progress`."""
        progress = progress or Progress()
        while not self.done:
            if progress.cancelled:
                self.cancel()
            self._tell(progress)
            self._ended.wait(_SECONDS_BETWEEN_POLLS)
        self._tell(progress)
        return self.result()

    def add(self, progress: Event) -> None:
        self._events.append(progress)

    def succeed(self, result: Any) -> None:
        self._end(result, None)

    def fail(self, error: TuckerSegError) -> None:
        self._end(None, Cancelled("The segmentation was cancelled.") if self.cancelled else error)

    def _end(self, result: Any, error: TuckerSegError | None) -> None:
        if self.done:  # the client that nobody holds any more is closed when its last job has ended
            return
        if self.shared:
            self.shared.remove()
        self._result, self._error, self.shared = result, error, None
        self._ended.set()
        self._client = None

    def _tell(self, progress: Progress) -> None:
        for event in self.poll():
            progress.tell(event)

    def _insist_on_cancelling(self) -> None:
        if self._cancelled_at is not None and time.monotonic() - self._cancelled_at > _SECONDS_TO_CANCEL:
            self._queue.kill(self)


class Queue:
    """The jobs of one client and the process that does them; outlives the client for as long as its thread runs."""

    def __init__(self, python: str, variables: Mapping[str, str]) -> None:
        self.process: WorkerProcess | None = None
        self._python, self._variables = python, variables
        self._last: WorkerProcess | None = None
        self._lock = threading.RLock()
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._jobs = 0

    @property
    def log(self) -> str:
        return self._last.log if self._last else ""

    def add(self, job: Job, volume: Volume | None = None) -> None:
        with self._lock:
            if volume:
                job.shared = share(volume.voxels)
                job.message["volume"] = {**job.shared.described, **geometry_as_json(volume.geometry)}
            self._jobs += 1
            job.message["id"] = self._jobs
            self._waiting.append(job)
            self._advance()

    def use(self, python: str, variables: Mapping[str, str]) -> None:
        """The next process is run by this interpreter; what the present one is doing is cancelled."""
        if (python, variables) != (self._python, self._variables):
            self.close()
            self._python, self._variables = python, variables

    def cancel(self, job: Job) -> None:
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                job.fail(Cancelled())
            elif job is self._current and self.process:
                self.process.send({"cancel": job.message["id"]})

    def kill(self, job: Job) -> None:
        """End the process that does not heed the job's cancellation: the job has failed, whatever becomes of that."""
        with self._lock:
            if job is not self._current or self.process is None:
                return
            process, self.process, self._current = self.process, None, None
            process.kill()
            job.fail(Cancelled("The segmentation was cancelled."))
            self._advance()

    def close(self) -> None:
        with self._lock:
            process, self.process = self.process, None
            jobs = [*([self._current] if self._current else []), *self._waiting]
            self._current = None
            self._waiting.clear()
        for job in jobs:
            job.fail(Cancelled("The segmentation was cancelled."))
        if process:
            process.end()

    def _advance(self) -> None:
        """Send the next job, if none is being done; starts a process where there is none."""
        while self._waiting and not self._current:
            job = self._waiting.popleft()
            try:
                process = self.process or self._start(job)
            except WorkerError as error:
                job.fail(error)
            else:
                self._current = job
                process.send(job.message)

    def _start(self, job: Job) -> WorkerProcess:
        job.add(_STARTING)
        sweep()
        self.process = self._last = WorkerProcess(self._python, self._variables, self._on_message, self._on_end)
        return self.process

    def _on_message(self, process: WorkerProcess, message: Message) -> None:
        with self._lock:
            job = self._current
            if process is not self.process or job is None or message.get("id") != job.message["id"]:
                return
            job.begun = True
            try:
                if "progress" in message:
                    job.add(progress_of(message["progress"]))
                    return
                self._finish(process, job, message)
            except Exception as error:  # an answer that is not understood ends its request, not the thread that reads
                job.fail(error_of(error_as_json(error)))
            self._current, process.proven = None, True
            self._advance()

    def _finish(self, process: WorkerProcess, job: Job, message: Message) -> None:
        if "error" in message:
            job.fail(error_of(message["error"]))
        elif "labels" in message:
            job.succeed(segmentation_of(self._label_map(message), message["result"]))
            process.send({"release": message["id"]})
        else:
            job.succeed(message["result"])

    def _label_map(self, message: Message) -> LabelMap:
        described = message["labels"]
        shared = attach(described)
        labels = shared.array.copy()
        return LabelMap(labels, geometry_of(described), {int(label): n for label, n in described["names"].items()})

    def _on_end(self, process: WorkerProcess) -> None:
        sweep()
        with self._lock:
            if process is not self.process:
                return
            self.process, job, self._current = None, self._current, None
            if job and process.proven and not job.begun and not job.cancelled:
                self._waiting.appendleft(job)  # it was sent while the process was ending, so another one does it
            elif job:
                error = WorkerError(f"The worker {process.how_it_ended()}: try again; the next run starts a new one.")
                error.details = process.log
                job.fail(error)
            self._advance()

"""The side that talks to the worker: requests in, progress and results out; free of PyTorch.

    client = Client()
    job = client.segment(volume, Request(model="sample", factor=0.3))
    segmentation = job.wait(Progress(lambda event: print(event.stage, event.fraction)))

A graphical program calls `job.poll()` from a timer instead, and `job.result()` once `job.done`.
"""

import os
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..segmentation.request import Request
from ..volumes.volume import Volume
from .jobs import Job, Queue
from .process import python_executable


class Client:
    """Talks to one worker, which the first request starts, and which ends with the client, however that ends.

    One request runs at a time; others wait for it in order. All methods may be called from any thread.
    """

    def __init__(self, python: str | None = None, variables: Mapping[str, str] | None = None) -> None:
        """`python` is the interpreter that runs the worker; this one, or `PythonSlicer` inside 3D Slicer.

        `variables` are the environment that it is started in; this process's. An application that comes with a Python
        of its own, as 3D Slicer does, sets some that mislead any other interpreter.
        """
        self._queue = Queue(python or python_executable(), os.environ if variables is None else variables)
        self._closing = weakref.finalize(self, self._queue.close)

    def segment(self, volume: Volume, request: Request) -> Job:
        """Segment `volume`, which is copied at once and may be changed afterwards.

        Raises:
            NotEnoughMemory: there is no room for the copy.
        """
        job = Job(self, self._queue, {"method": "segment", "arguments": asdict(request)})
        self._queue.add(job, volume)
        return job

    def call(self, method: str, **arguments: Any) -> Job:
        """One of the worker's other methods: its `result()` is a JSON object.

        "ping", which tells versions and what there is to choose from here; "models"; "tasks" of TotalSegmentator;
        "levels" of `model`; "prepare" of `model`, with `minutes` of training; "cache_info"; "cache_clear";
        "weights_install" of `task`, with its `licence_number` or None; "weights_import" of `archive`;
        "weights_remove" of `task`.
        """
        job = Job(self, self._queue, {"method": method, "arguments": arguments})
        self._queue.add(job)
        return job

    def use(self, python: str, variables: Mapping[str, str]) -> None:
        """Have later requests done by another interpreter, in this environment; cancels what another one does now."""
        self._queue.use(python, variables)

    def close(self) -> None:
        """End the worker's process and whatever it is doing; a later request starts a new one."""
        self._queue.close()

    @property
    def running(self) -> bool:
        """Whether there is a process at the moment."""
        process = self._queue.process
        return process is not None and process.running

    @property
    def pid(self) -> int | None:
        """The worker's process."""
        process = self._queue.process
        return process.pid if process else None

    def log_tail(self) -> str:
        """The last lines that the present worker, or the last one, wrote to its standard error."""
        return self._queue.log

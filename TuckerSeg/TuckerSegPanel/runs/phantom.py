"""A phantom CT to try the module on, made on the spot: a process of its own keeps the application free meanwhile."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from TuckerSegLib.errors import Cancelled, WorkerError
from TuckerSegLib.progress import Event
from TuckerSegLib.volumes.phantoms.seeds import DEMONSTRATION
from TuckerSegLib.worker.process import environment, python_executable

from ..scene.phantom import show_phantom
from .run import Step, Steps

_PROGRAM = """
import sys
import numpy
from TuckerSegLib.volumes.phantoms.phantom import phantom
image = phantom(int(sys.argv[1])).image
numpy.savez(sys.argv[2], voxels=image.voxels[0], ijk_to_ras=image.geometry.ijk_to_ras)
"""


def make_phantom() -> Steps:
    """The phantom as a new volume of the scene."""
    voxels, ijk_to_ras = yield Step(PhantomProcess())
    return show_phantom(voxels, ijk_to_ras)


class PhantomProcess:
    """The process that makes it, with what a run asks of its work."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._cancelled = False
        self._told = False
        self._process = subprocess.Popen(
            [python_executable(), "-P", "-c", _PROGRAM, str(DEMONSTRATION), str(self._path)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment(os.environ),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    @property
    def done(self) -> bool:
        return self._process.poll() is not None

    def poll(self) -> list[Event]:
        told, self._told = self._told, True
        return [] if told else [Event("phantom", 0.0, None)]

    def cancel(self) -> None:
        self._cancelled = True
        self._process.kill()

    def result(self) -> tuple[Any, Any]:
        """Voxels (K, J, I) and their matrix from IJK to RAS.

        Raises:
            WorkerError: it could not be made.
            Cancelled: `cancel` was called.
        """
        try:
            if self._process.wait() and self._cancelled:
                raise Cancelled(_("The phantom was cancelled."))
            if self._process.returncode:
                raise self._error()
            with np.load(self._path) as made:
                return made["voxels"], made["ijk_to_ras"]
        finally:
            self._log.close()
            self._folder.cleanup()

    @property
    def _path(self) -> Path:
        return Path(self._folder.name) / "phantom.npz"

    def _error(self) -> WorkerError:
        self._log.seek(0)
        error = WorkerError(_("The sample could not be made: install the Python packages that the panel names."))
        error.details = self._log.read()
        return error

"""A phantom CT to try the module on, made on the spot: a process of its own keeps the application free meanwhile."""

import os
import tempfile
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from TuckerSegLib.errors import WorkerError
from TuckerSegLib.volumes.phantoms.seeds import DEMONSTRATION
from TuckerSegLib.worker.process import environment, python_executable

from ..scene.phantom import show_phantom
from .program import Program
from .run import Step, Steps

_PROGRAM = """
import sys
import numpy
from TuckerSegLib.volumes.phantoms.phantom import phantom
image = phantom(int(sys.argv[1])).image
numpy.savez(sys.argv[2], voxels=image.voxels[0], ijk_to_ras=image.geometry.ijk_to_ras)
"""


def make_phantom() -> Steps:
    """The phantom as a new volume of the scene; needs what the application's own Python brings."""
    failure = WorkerError(_("The sample could not be made: install 3D Slicer again, or load a scan."))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.npz"
        command = [python_executable(), "-P", "-c", _PROGRAM, str(DEMONSTRATION), path]
        yield Step(Program(command, environment(os.environ), "phantom", failure))
        with np.load(path) as made:
            voxels, ijk_to_ras = made["voxels"], made["ijk_to_ras"]
    return show_phantom(voxels, ijk_to_ras)

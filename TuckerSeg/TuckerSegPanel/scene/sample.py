"""A phantom CT to try the module on, made on the spot: a process of its own keeps the application free meanwhile."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import WorkerError
from TuckerSegLib.volumes.phantoms.seeds import DEMONSTRATION
from TuckerSegLib.worker.process import environment, python_executable

NAME = "TuckerSegPhantom"

_PROGRAM = """
import sys
import numpy
from TuckerSegLib.volumes.phantoms.phantom import phantom
image = phantom(int(sys.argv[1])).image
numpy.savez(sys.argv[2], voxels=image.voxels[0], ijk_to_ras=image.geometry.ijk_to_ras)
"""

_SOFT_TISSUE = (400.0, 40.0)
"""Window and level, in Hounsfield units."""


def load_phantom() -> "slicer.vtkMRMLScalarVolumeNode":
    """The phantom as a new volume of the scene; events are processed while it is made.

    Raises:
        WorkerError: it could not be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.npz"
        _run([python_executable(), "-P", "-c", _PROGRAM, str(DEMONSTRATION), str(path)])
        with np.load(path) as made:
            return _node(made["voxels"], made["ijk_to_ras"])


def register(icon: str) -> None:
    """Offers the phantom in Slicer's Sample Data module, where that is loaded."""
    try:
        import SampleData
    except ImportError:
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="TuckerSeg",
        sampleName=NAME,
        sampleDescription=_("Torso phantom CT"),
        uris="",
        fileNames=None,
        nodeNames=NAME,
        thumbnailFileName=icon,
        customDownloader=lambda _source: load_phantom(),
    )


def _run(command: list[str]) -> None:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(os.environ),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            while process.poll() is None:
                slicer.app.processEvents()
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            log.seek(0)
            error = WorkerError(_("The sample could not be made: install the Python packages that the panel names."))
            error.details = log.read()
            raise error


def _node(voxels: "np.ndarray", ijk_to_ras: "np.ndarray") -> "slicer.vtkMRMLScalarVolumeNode":
    name = slicer.mrmlScene.GenerateUniqueName(NAME)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*_SOFT_TISSUE)
    return node

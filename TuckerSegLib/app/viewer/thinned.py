"""The volume in 3D: a copy of few voxels, whose rays a CPU can follow while the page stays alive."""

from typing import Any

import numpy as np
import slicer.util
from trame_slicer.core import SlicerApp

from ...volumes.volume import Volume

_MOST_VOXELS = 1_500_000

_CT, _OTHER = "CT-AAA", "MR-Default"
"""3D Slicer's own settings of what is opaque."""

_AIR = -500


def add_thinned(app: SlicerApp, volume: Volume) -> Any:
    """A node with every n-th voxel of `volume`'s first channel, hidden as yet; it is not saved with the scene."""
    voxels = volume.voxels[0]
    step = int(np.ceil((voxels.size / _MOST_VOXELS) ** (1 / 3)))
    thinned = np.ascontiguousarray(voxels[::step, ::step, ::step])
    node = app.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume in 3D")
    slicer.util.updateVolumeFromArray(node, thinned)
    matrix = volume.geometry.ijk_to_ras @ np.diag([step, step, step, 1.0])
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.CreateDefaultDisplayNodes()
    display = app.volume_rendering.create_display_node(node, _CT if thinned.min() < _AIR else _OTHER)
    display.SetVisibility(False)
    for one in (node, display):
        one.SetSaveWithScene(False)
    return node

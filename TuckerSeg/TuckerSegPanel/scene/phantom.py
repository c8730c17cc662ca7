"""The phantom CT in the scene, and among the application's sample data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

NAME = "TuckerSegPhantom"

_SOFT_TISSUE = (400.0, 40.0)
"""Window and level, in Hounsfield units."""


def register(icon: str, load: Callable[[], Any]) -> None:
    """Offers what `load` makes in Slicer's Sample Data module, where that is loaded."""
    try:
        import SampleData
    except ImportError:
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="TuckerSeg",
        sampleName=NAME,
        uris="",  # a source needs one, be it empty, where its own downloader fetches it
        nodeNames=NAME,
        thumbnailFileName=icon,
        customDownloader=lambda _source: load(),
    )


def show_phantom(voxels: "np.ndarray", ijk_to_ras: "np.ndarray") -> "slicer.vtkMRMLScalarVolumeNode":
    """A new volume with these voxels (K, J, I)."""
    name = slicer.mrmlScene.GenerateUniqueName(NAME)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*_SOFT_TISSUE)
    return node

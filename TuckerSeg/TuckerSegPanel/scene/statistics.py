"""Volume and intensities of a segmentation's structures, as they are in the scene."""

from typing import Any

import numpy as np
import slicer

from TuckerSegLib.volumes.scene import volume_from_node
from TuckerSegLib.volumes.statistics import Statistics, statistics
from TuckerSegLib.volumes.volume import LabelMap


def measured(segmentation: Any, volume: Any) -> list[Statistics]:
    """One entry a segment, in their order, as they are now, be they edited; on the volume's grid.

    Raises:
        InputError: the volume cannot be used.
    """
    image = volume_from_node(volume)
    segments = segmentation.GetSegmentation()
    found: dict[str, Statistics] = {}
    for layer in range(segments.GetNumberOfLayers()):  # segments that overlap lie in different ones
        ids = list(segments.GetSegmentIDsForLayer(layer))
        names = {number: segments.GetSegment(one).GetName() for number, one in enumerate(ids, start=1)}
        label_map = LabelMap(_labels(segmentation, ids, volume), image.geometry, names)
        found.update(zip(ids, statistics(image, label_map), strict=True))
    every = (segments.GetNthSegmentID(index) for index in range(segments.GetNumberOfSegments()))
    return [found[one] for one in every if one in found]


def _labels(segmentation: Any, ids: list[str], volume: Any) -> "np.ndarray":
    """The i-th segment as label i + 1, (K, J, I)."""
    scratch = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.ExportSegmentsToLabelmapNode(segmentation, ids, scratch, volume)
        return slicer.util.arrayFromVolume(scratch).copy()
    finally:
        slicer.mrmlScene.RemoveNode(scratch)

"""A level's result beside the original network's: linked slice views, with the voxels where they differ in red."""

from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from TuckerSegLib.volumes.scene import show_label_map
from TuckerSegLib.volumes.volume import LabelMap

_ORIGINAL, _DIFFERENCES = "TuckerSegOriginal", "TuckerSegDifferences"
"""Roles by which a segmentation refers to the two that stand beside it."""

_LEFT, _RIGHT = "Red", "Yellow"
"""The slice views of the side-by-side layout."""

_RED = (1.0, 0.1, 0.1)


def is_shown(segmentation: Any) -> bool:
    """Whether this one has others beside it."""
    return segmentation is not None and segmentation.GetNodeReference(_ORIGINAL) is not None


def show(volume: Any, segmentation: Any, ours: LabelMap, original: LabelMap, standard_names: bool) -> None:
    """`ours` is what the segmentation shows, in the left view, and `original` comes into the right one."""
    theirs = _beside(segmentation, _ORIGINAL, volume, original, standard_names)
    theirs.SetName(_("{name}, original network").format(name=segmentation.GetName()))
    differences = _beside(segmentation, _DIFFERENCES, volume, _differences(ours, original), False)
    differences.SetName(_("{name}, differences").format(name=segmentation.GetName()))
    _paint(differences)
    _confine(segmentation, _LEFT)
    _confine(theirs, _RIGHT)
    _lay_out(volume)


def end(segmentation: Any) -> None:
    """Takes away what stands beside the segmentation, which is shown everywhere again."""
    for role in (_ORIGINAL, _DIFFERENCES):
        node = segmentation.GetNodeReference(role)
        segmentation.SetNodeReferenceID(role, None)
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
    segmentation.GetDisplayNode().RemoveAllViewNodeIDs()
    layout_manager = slicer.app.layoutManager()
    if layout_manager:
        layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def _beside(segmentation: Any, role: str, volume: Any, label_map: LabelMap, standard_names: bool) -> Any:
    known = segmentation.GetNodeReference(role)
    node = show_label_map(label_map, volume, known, standard_names)
    segmentation.SetNodeReferenceID(role, node.GetID())
    return node


def _differences(ours: LabelMap, original: LabelMap) -> LabelMap:
    differ = (ours.labels != original.labels).astype(np.uint8)
    return LabelMap(differ, ours.geometry, {1: _("differences")})


def _paint(differences: Any) -> None:
    segments = differences.GetSegmentation()
    for index in range(segments.GetNumberOfSegments()):
        segments.GetNthSegment(index).SetColor(*_RED)
    display = differences.GetDisplayNode()
    display.SetOpacity2DFill(0.6)
    display.SetVisibility3D(False)


def _confine(segmentation: Any, view: str) -> None:
    node = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceNode")
    display = segmentation.GetDisplayNode()
    display.RemoveAllViewNodeIDs()
    if node is not None:
        display.AddViewNodeID(node.GetID())


def _lay_out(volume: Any) -> None:
    """Both views show the same slice of the volume, and go on doing so."""
    layout_manager = slicer.app.layoutManager()
    if layout_manager is None:
        return
    layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    for view in (_LEFT, _RIGHT):
        logic = layout_manager.sliceWidget(view).sliceLogic()
        logic.GetSliceCompositeNode().SetLinkedControl(True)
        logic.GetSliceNode().SetOrientation("Axial")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)

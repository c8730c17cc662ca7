"""The volume that a node belongs to: nothing is replaced that is another volume's or shows another model."""

from typing import Any

import slicer

_VOLUME = "TuckerSegVolume"
"""The role by which a table refers to the volume that it is about."""

_SUBJECT = "TuckerSegSubject"
"""The attribute that says what a chart is about."""


def in_scene(node: Any) -> Any:
    """The node, or None where it was deleted meanwhile."""
    return node if node is not None and node.GetScene() is not None else None


def own_segmentation(segmentation: Any, volume: Any) -> Any:
    """The segmentation if a result on `volume` may replace what it holds, else None.

    It may where its reference geometry is that very volume, or where it is empty and nobody's. What a sequence plays
    is not to be replaced by a single frame, which would be gone as soon as somebody plays it.
    """
    segmentation = in_scene(segmentation)
    if segmentation is None or volume is None or _is_played(segmentation):
        return None
    return segmentation if is_segmentation_of(segmentation, volume) else None


def own_sequence(segmentation: Any, volume: Any) -> Any:
    """The segmentation if the results on all frames of `volume` may replace what it holds, else None."""
    segmentation = in_scene(segmentation)
    return segmentation if is_segmentation_of(segmentation, volume) else None


def is_segmentation_of(segmentation: Any, volume: Any) -> bool:
    """Whether it was made on this volume, or is empty and was made on none."""
    if segmentation is None or volume is None:
        return False
    reference = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    if reference is None:
        return segmentation.GetSegmentation().GetNumberOfSegments() == 0
    return reference is volume


def own_table(table: Any, volume: Any) -> Any:
    """The table if it is about `volume`, else None."""
    table = in_scene(table)
    return table if table is not None and volume is not None and table.GetNodeReference(_VOLUME) is volume else None


def is_about(table: Any, volume: Any) -> None:
    """From now on the table is about this volume."""
    table.SetNodeReferenceID(_VOLUME, volume.GetID())


def own_chart(chart: Any, subject: str) -> Any:
    """The chart if it shows `subject`, else None."""
    chart = in_scene(chart)
    return chart if chart is not None and chart.GetAttribute(_SUBJECT) == subject else None


def shows(chart: Any, subject: str) -> None:
    """From now on the chart shows `subject`."""
    chart.SetAttribute(_SUBJECT, subject)


def _is_played(node: Any) -> bool:
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", node.GetScene())
    return any(browser.GetSequenceNode(node) for browser in browsers)

"""Showing results in the application's views; without a main window there is nothing to show them in."""

from typing import Any

import slicer


def show_volume(node: "slicer.vtkMRMLScalarVolumeNode") -> None:
    if _layout_manager():
        slicer.util.setSliceViewerLayers(background=node, fit=True)


def show_table(node: "slicer.vtkMRMLTableNode") -> None:
    layout_manager = _layout_manager()
    if layout_manager:
        layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveTableID(node.GetID())
        logic.PropagateTableSelection()


def show_chart(node: "slicer.vtkMRMLPlotChartNode") -> None:
    layout_manager = _layout_manager()
    if layout_manager:
        layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActivePlotChartID(node.GetID())
        logic.PropagatePlotChartSelection()


def _layout_manager() -> Any:
    return slicer.app.layoutManager()

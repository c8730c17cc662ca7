"""Tables and charts in the scene: how a level compares with the original, and what each level trades."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from TuckerSegLib.segmentation.slider.measurements import Measured
from TuckerSegLib.volumes.statistics import Statistics

_LEVELS, _CHOSEN = "Levels", "ChosenLevel"
"""Roles by which a chart refers to its series, so that it finds them again in a saved scene."""


@dataclass(frozen=True)
class Row:
    """One structure: Dice with the original network's, and either's millilitres."""

    structure: str
    dice: float
    millilitres: float
    original_millilitres: float


@dataclass(frozen=True)
class Texts:
    """A column of strings, and what they mean."""

    name: str
    values: Sequence[str]
    description: str
    unit: str = ""

    def as_array(self) -> vtk.vtkAbstractArray:
        return _array(vtk.vtkStringArray(), self.name, self.values)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, what they mean, and their unit."""

    name: str
    values: Sequence[float]
    description: str
    unit: str = ""

    def as_array(self) -> vtk.vtkAbstractArray:
        return _array(vtk.vtkDoubleArray(), self.name, self.values)


Column = Texts | Numbers


def fill_comparison(
    table: "slicer.vtkMRMLTableNode | None", segmentation: "slicer.vtkMRMLSegmentationNode", rows: Sequence[Row]
) -> "slicer.vtkMRMLTableNode":
    """The rows in `table`, or in a new one named after the segmentation."""
    name = _("{segmentation} compared with the original").format(segmentation=segmentation.GetName())
    table = table or _new("vtkMRMLTableNode", name)
    _fill(
        table,
        Texts("Structure", [row.structure for row in rows], _("The structure, as the model names it")),
        Numbers("Dice", [row.dice for row in rows], _("Agreement with the original network: 1 is complete, 0 none")),
        Numbers("Volume", [row.millilitres for row in rows], _("At the chosen level"), "ml"),
        Numbers("Original volume", [row.original_millilitres for row in rows], _("By the original network"), "ml"),
    )
    return table


def fill_statistics(
    table: "slicer.vtkMRMLTableNode | None",
    segmentation: "slicer.vtkMRMLSegmentationNode",
    found: Sequence[Statistics],
    unit: str,
) -> "slicer.vtkMRMLTableNode":
    """Volume and intensities of each structure, in `table` or in a new one; `unit` is the intensities'."""
    table = table or _new("vtkMRMLTableNode", _("{name} statistics").format(name=segmentation.GetName()))

    def numbers(name: str, field: str, description: str) -> Numbers:
        values = [getattr(one, field) for one in found]
        return Numbers(name, [nan if value is None else value for value in values], description, unit)

    _fill(
        table,
        Texts("Structure", [one.name for one in found], _("The segment")),
        Numbers("Volume", [one.volume / 1000 for one in found], _("As far as the image shows it"), "ml"),
        numbers("Mean", "intensity", _("Mean intensity")),
        numbers("SD", "intensity_std", _("Standard deviation of the intensity over the voxels")),
        numbers("Median", "intensity_p50", _("Median intensity")),
        numbers("Minimum", "intensity_min", _("Lowest intensity")),
        numbers("Maximum", "intensity_max", _("Highest intensity")),
        Texts("At border", [_("yes") if one.touches_border else "" for one in found], _("Whether the image cuts it")),
    )
    table.SetDescription(segmentation.GetDescription())
    return table


def fill_trade_off(
    chart: "slicer.vtkMRMLPlotChartNode | None", levels: Sequence[Measured], chosen: float, title: str
) -> "slicer.vtkMRMLPlotChartNode":
    """Seconds against agreement, one point a level that has both, the chosen one marked; in `chart` or a new one."""
    plot = slicer.vtkMRMLPlotSeriesNode
    chart = chart or _new("vtkMRMLPlotChartNode", _("TuckerSeg trade-off"))
    known = [level for level in levels if level.seconds is not None and level.agreement is not None]
    every = _series(chart, _LEVELS, _("Levels"), known)
    every.SetLineStyle(plot.LineStyleSolid)
    every.SetMarkerStyle(plot.MarkerStyleCircle)
    every.SetMarkerSize(9.0)
    every.SetColor(0.12, 0.47, 0.71)
    marked = _series(chart, _CHOSEN, _("Chosen level"), [level for level in known if level.factor == chosen])
    marked.SetLineStyle(plot.LineStyleNone)
    marked.SetMarkerStyle(plot.MarkerStyleDiamond)
    marked.SetMarkerSize(16.0)
    marked.SetColor(0.84, 0.15, 0.16)
    chart.SetTitle(title)
    chart.SetXAxisTitle(_("Seconds on this computer"))
    chart.SetYAxisTitle(_("Agreement with the original (mean Dice)"))
    return chart


def _series(chart: Any, role: str, name: str, levels: Sequence[Measured]) -> Any:
    series = chart.GetNodeReference(role) or _new_series(chart, role, name)
    _fill(
        series.GetTableNode(),
        Texts("Level", [f"DF {level.factor:g}" for level in levels], _("Share of each layer's channels kept")),
        Numbers("Seconds", [level.seconds or 0.0 for level in levels], _("For one scan, on this computer"), "s"),
        Numbers("Agreement", [level.agreement or 0.0 for level in levels], _("Mean Dice with the original network")),
    )
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetXColumnName("Seconds")
    series.SetYColumnName("Agreement")
    series.SetLabelColumnName("Level")
    return series


def _new_series(chart: Any, role: str, name: str) -> Any:
    series = _new("vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(_new("vtkMRMLTableNode", f"{chart.GetName()}: {name}").GetID())
    chart.SetNodeReferenceID(role, series.GetID())
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series


def _new(kind: str, name: str) -> Any:
    return slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))


def _fill(table: Any, *columns: Column) -> None:
    was_modifying = table.StartModify()
    table.RemoveAllColumns()
    for column in columns:
        table.AddColumn(column.as_array())
        table.SetColumnDescription(column.name, column.description)
        table.SetColumnUnitLabel(column.name, column.unit)
        table.SetColumnTitle(column.name, f"{column.name} [{column.unit}]" if column.unit else column.name)
    table.SetUseColumnTitleAsColumnHeader(True)
    table.EndModify(was_modifying)


def _array(array: Any, name: str, values: Sequence[str] | Sequence[float]) -> Any:
    array.SetName(name)
    for value in values:
        array.InsertNextValue(value)
    return array

"""Surfaces of all structures at once, for the 3D view.

Slicer's own conversion takes a pass over the volume for each structure, a minute for a hundred. Surface nets
(Frisken, MERL 2022; VTK's vtkSurfaceNets3D) take one for all, here on a grid coarse enough for a view.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from ...volumes.volume import LabelMap

_MOST_VOXELS = 6_000_000
"""A finer grid is thinned out first: the view shows no more."""

_SMOOTHINGS = 12

_REPRESENTATION = "Closed surface"

Triangles = npt.NDArray[np.int64]


def surfaces(label_map: LabelMap) -> dict[int, vtk.vtkPolyData]:
    """A surface in RAS millimetres for each label that occurs."""
    step = int(np.ceil((label_map.labels.size / _MOST_VOXELS) ** (1 / 3)))
    found = _nets(np.pad(label_map.labels[::step, ::step, ::step], 1))
    triangles = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    sides = vtk_to_numpy(found.GetCellData().GetArray("BoundaryLabels")).astype(np.int64)
    ijk = (vtk_to_numpy(found.GetPoints().GetData()) - 1) * step
    matrix = label_map.geometry.ijk_to_ras
    ras = (ijk @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    return {label: _surface(ras, own) for label, own in _by_label(triangles, sides)}


def add_surfaces(node: "slicer.vtkMRMLSegmentationNode", made: dict[int, vtk.vtkPolyData]) -> None:
    """Gives each segment of `node` the surface of its label, and shows them in 3D.

    The views hear of it at the end: after the first surface they would have Slicer convert all other segments.
    """
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    with slicer.util.NodeModify(node):
        for segment in map(segmentation.GetSegment, segmentation.GetSegmentIDs()):
            segment.AddRepresentation(_REPRESENTATION, made.get(segment.GetLabelValue(), vtk.vtkPolyData()))
    display.SetPreferredDisplayRepresentationName3D(_REPRESENTATION)
    display.SetVisibility3D(True)


def _nets(labels: npt.NDArray[np.unsignedinteger]) -> vtk.vtkPolyData:
    image = vtk.vtkImageData()
    image.SetDimensions(*labels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(labels.astype(np.int16).ravel(), deep=True))
    nets = vtk.vtkSurfaceNets3D()
    nets.SetInputData(image)
    nets.SetBackgroundLabel(0)
    for index, label in enumerate(np.unique(labels[labels > 0])):
        nets.SetValue(index, float(label))
    nets.SetNumberOfIterations(_SMOOTHINGS)
    nets.SetOutputMeshTypeToTriangles()
    nets.Update()
    found: vtk.vtkPolyData = nets.GetOutput()
    return found


def _by_label(triangles: Triangles, sides: Triangles) -> Iterator[tuple[int, Triangles]]:
    """The triangles (n, 3) between each label and others, their fronts outside."""
    labels, every = sides.T.ravel(), np.concatenate([triangles, triangles[:, ::-1]])
    order = np.argsort(labels, kind="stable")
    found, starts = np.unique(labels[order], return_index=True)
    for label, own in zip(found, np.split(order, starts[1:]), strict=True):
        if label:
            yield int(label), every[own]


def _surface(ras: npt.NDArray[np.float32], own: Triangles) -> vtk.vtkPolyData:
    used, renumbered = np.unique(own, return_inverse=True)
    surface = vtk.vtkPolyData()
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(ras[used], deep=True))
    cells = vtk.vtkCellArray()
    starts = np.arange(0, 3 * len(own) + 1, 3)
    cells.SetData(numpy_to_vtkIdTypeArray(starts, deep=True), numpy_to_vtkIdTypeArray(renumbered.ravel(), deep=True))
    surface.SetPoints(points)
    surface.SetPolys(cells)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    smooth: vtk.vtkPolyData = normals.GetOutput()
    return smooth

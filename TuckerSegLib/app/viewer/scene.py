"""The scene of one user and its views: the volume, segmentations on it, and what they look like."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from trame_server import Server
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from vtk.util.numpy_support import numpy_to_vtk

from ...segmentation.result import Segmentation
from ...volumes.scene import show_label_map
from ...volumes.volume import LabelMap, Volume
from . import layouts
from .overlay import slice_overlay, volume_overlay
from .surfaces import add_surfaces
from .thinned import add_thinned

Point = npt.NDArray[np.float64]


class Scene:
    """One volume, and one segmentation or two; a volume that is shown takes the place of all that was there."""

    def __init__(self, server: Server) -> None:
        self._slicer = SlicerApp()
        slicer.mrmlScene = self._slicer.scene
        register_rca_factories(
            self._slicer.view_manager,
            server,
            slice_view_ui_f=slice_overlay,
            three_d_view_ui_f=volume_overlay,
            interactive_quality=60,
        )
        self.layouts = LayoutManager(self._slicer.scene, self._slicer.view_manager, server)
        self.layouts.register_layout_dict(layouts.layouts())
        self.layouts.set_layout(layouts.FOUR)
        self.volume_node: Any = None
        self._volume: Volume | None = None
        self._thinned: Any = None
        self._following = False
        self._links = self._link_views()
        self._spare_the_processor()

    def show_volume(self, volume: Volume, name: str, window: tuple[float, float]) -> None:
        """The first channel of `volume`, in a window of `window` units from the first to the second.

        The node has no copy of the voxels: the volume is kept for as long as the node.
        """
        self.clear()
        node = self._slicer.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetAndObserveImageData(shared(volume.voxels[0]))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.geometry.ijk_to_ras))
        node.CreateDefaultDisplayNodes()
        self.volume_node, self._volume = node, volume
        self.set_window(window)
        self._slicer.display_manager.show_volume_in_slice_background(node)
        self._slicer.display_manager.reset_views()

    def clear(self) -> None:
        """Nothing is shown any more."""
        scene = self._slicer.scene
        for kind in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"):
            for node in list(slicer.util.getNodesByClass(kind)):
                scene.RemoveNode(node)
        self.volume_node = self._volume = self._thinned = None

    def show(self, segmentation: Segmentation, node: Any = None, views: Sequence[str] = ()) -> Any:
        """The node that shows `segmentation` on the volume: `node`, or a new one; in `views`, or in all."""
        return self._show(segmentation.label_map, node, views, segmentation.described)

    def show_label_map(self, label_map: LabelMap, node: Any, views: Sequence[str]) -> Any:
        """As `show`, for labels that no network found."""
        return self._show(label_map, node, views)

    def remove(self, node: Any) -> None:
        if node is not None and node.GetScene() is not None:
            self._slicer.scene.RemoveNode(node)

    def limit(self, node: Any, views: Sequence[str]) -> None:
        """Show `node` in these views only; in all where there are none."""
        found = [self._view(name).get_view_node_id() for name in views]
        node.GetDisplayNode().SetViewNodeIDs(found)

    def add_surfaces(self, node: Any, made: dict[int, Any]) -> None:
        """Show `node` in 3D as well, with what `surfaces` made of its labels."""
        if node is None or node.GetScene() is None:
            return
        add_surfaces(node, made)
        for view in self._slicer.view_manager.get_threed_views():
            view.reset_view()

    def set_window(self, window: tuple[float, float]) -> None:
        if self.volume_node is not None:
            display = self.volume_node.GetDisplayNode()
            display.AutoWindowLevelOff()
            display.SetWindowLevelMinMax(*window)

    def set_volume_in_3d(self, shown: bool) -> None:
        """Whether the volume itself is in the 3D view."""
        if self._volume is None:
            return
        if shown and self._thinned is None:
            self._thinned = add_thinned(self._slicer, self._volume)
        if self._thinned is not None:
            self._slicer.volume_rendering.get_vr_display_node(self._thinned).SetVisibility(shown)
        for view in self._slicer.view_manager.get_threed_views():
            view.reset_view()

    def fly_to(self, ras: Point) -> None:
        """Centre all views on a point, (3,) in RAS millimetres."""
        for view in self._slicer.view_manager.get_slice_views():
            view.get_view_node().JumpSliceByCentering(*(float(x) for x in ras))
        for view in self._slicer.view_manager.get_threed_views():
            view.set_focal_point(*(float(x) for x in ras))
            view.schedule_render()

    def set_layout(self, name: str) -> None:
        self.layouts.set_layout(name)
        self._slicer.display_manager.show_volume_in_slice_background(self.volume_node)

    def views(self) -> list[Any]:
        """All views of all layouts, those of slices first."""
        manager = self._slicer.view_manager
        return [*manager.get_slice_views(), *manager.get_threed_views()]

    def save_bundle(self, path: str) -> bool:
        """The whole scene as a `.mrb`, which 3D Slicer opens."""
        return bool(self._slicer.scene.WriteToMRB(path))

    def _show(self, label_map: LabelMap, node: Any, views: Sequence[str], description: str = "") -> Any:
        """In 3D once it has surfaces; until all segments are replaced no view hears of it, which would convert them."""
        with slicer.util.NodeModify(node) if node else nullcontext():
            node = show_label_map(label_map, self.volume_node, node, False, description)
            node.GetDisplayNode().SetVisibility3D(False)
        self.limit(node, views)
        return node

    def _spare_the_processor(self) -> None:
        """Eight samples a pixel take a CPU several times as long as one, and a filter that smooths edges."""
        for view in self.views():
            view.render_window().SetMultiSamples(0)
        for view in self._slicer.view_manager.get_threed_views():
            view.renderer().UseFXAAOn()

    def _view(self, name: str) -> Any:
        return self._slicer.view_manager.get_view(name)

    def _link_views(self) -> list[Any]:
        """The views of two compared positions show the same place, whichever of them is moved."""
        links = []
        for left, right in zip(layouts.LEFT, layouts.RIGHT, strict=True):
            pair = self._view(left), self._view(right)
            for one, other in (pair, pair[::-1]):
                one.modified.connect(lambda _view, one=one, other=other: self._follow(one, other))
            links.append(pair)
        return links

    def _follow(self, moved: Any, other: Any) -> None:
        if self._following or self.layouts.layout_id != layouts.COMPARED:
            return
        self._following = True
        try:
            source, target = moved.get_view_node(), other.get_view_node()
            target.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
            target.UpdateMatrices()
            size, own = source.GetFieldOfView(), target.GetDimensions()
            target.SetFieldOfView(size[0], size[0] * own[1] / max(own[0], 1), size[2])
        finally:
            self._following = False


def shared(voxels: npt.NDArray[Any]) -> vtk.vtkImageData:
    """An image of these very numbers (K, J, I), which have to outlive it."""
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.reshape(-1), deep=not voxels.flags.c_contiguous))
    return image

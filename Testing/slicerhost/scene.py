"""The real scene and the real logics, put together as the application does at its start."""

# mypy: ignore-errors

from pathlib import Path
from types import SimpleNamespace

import slicer
import slicer.util
import vtk

# Loadable modules whose logic the core package has: {module name: logic class}
_LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


def make_scene() -> SimpleNamespace:
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    colors = slicer.vtkMRMLColorLogic()
    colors.SetMRMLScene(scene)
    logics = {}
    for name, class_name in _LOGICS.items():
        if not hasattr(slicer, class_name):
            continue
        logic = logics[name] = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
    slices = _slice_logics(scene, application)
    return SimpleNamespace(scene=scene, application=application, colors=colors, logics=logics, slices=slices)


def _slice_logics(scene, application) -> dict:
    """What the Red, Green and Yellow views show, without the views."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    collection = vtk.vtkCollection()
    slices = {}
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        logic.AddSliceNode(name).SetOrientation(orientation)
        collection.AddItem(logic)
        slices[name] = logic
    application.SetSliceLogics(collection)
    return slices


def save(scene, path: Path) -> None:
    """The scene as a .mrml file, and every storable node's data beside it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scene.SetRootDirectory(str(path.parent))
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        if node.GetSaveWithScene() and not node.GetHideFromEditors():
            _write(node, path.parent)
    scene.SetURL(str(path))
    if not scene.Commit(str(path)):
        raise OSError(f"{path} could not be written")


def _write(node, folder: Path) -> None:
    if node.GetStorageNode() is None:
        node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    if storage is None or storage.IsA("vtkMRMLColorTableStorageNode"):
        return
    if not storage.GetFileName():
        extension = storage.GetDefaultWriteFileExtension() or "dat"
        storage.SetFileName(str(folder / f"{node.GetID()}.{extension}"))
        storage.WriteData(node)
    elif node.GetModifiedSinceRead():
        storage.WriteData(node)


def load(scene, path: Path) -> None:
    scene.Clear(0)
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(Path(path).parent))
    if not scene.Import(None):
        raise OSError(f"{path} could not be read")

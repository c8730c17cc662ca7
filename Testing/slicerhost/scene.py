"""The real scene and the real logics, put together as the application does at its start."""

# mypy: ignore-errors

import colorsys
from pathlib import Path
from types import SimpleNamespace

import slicer
import slicer.util
import vtk

# Loadable modules whose logic the core package has: {module name: logic class}
_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


def make_scene(home: Path) -> SimpleNamespace:
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetHomeDirectory(str(home))
    application.SetShareDirectory("share")
    _write_colors(home / "share" / "ColorFiles")
    logics = {}
    for name, class_name in _LOGICS.items():
        if not hasattr(slicer, class_name):
            continue
        logic = logics[name] = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
    slices = _slice_logics(scene, application)
    return SimpleNamespace(scene=scene, application=application, logics=logics, slices=slices)


def _write_colors(folder: Path) -> None:
    """The table that label maps are shown in; the core package has the class, but not the file."""
    folder.mkdir(parents=True)
    hues = (colorsys.hsv_to_rgb(0.382 * label % 1, 0.6, 0.9) for label in range(1, 256))
    rows = (f"{i} region_{i} {r * 255:.0f} {g * 255:.0f} {b * 255:.0f} 255" for i, (r, g, b) in enumerate(hues, 1))
    lines = ["0 Background 0 0 0 0", *rows]
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n")


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


def load(scene, path: Path, keep: bool = False) -> None:
    """Instead of what is there, or, with `keep`, beside it, as *Add data* does."""
    if not keep:
        scene.Clear(0)
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(Path(path).parent))
    if not scene.Import(None):
        raise OSError(f"{path} could not be read")

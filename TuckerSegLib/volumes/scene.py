"""3D Slicer's scene: a volume node in, a segmentation node out.

The only file that imports slicer; it runs in the application and, on the slicer-core package, without it.

Arrays are (K, J, I) as `slicer.util` gives them; matrices are the node's own IJK to RAS, in millimetres and *before*
any parent transform. The segmentation gets the volume's parent transform, so it lies on the volume and moves with it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..errors import InputError, OutputError
from .output import SEGMENTATION_SUFFIX, output_suffix, whole_file
from .terminology import SegmentStyle, style
from .volume import Geometry, LabelMap, Volume

_BINARY_LABELMAP = "Binary labelmap"


@dataclass(frozen=True)
class _Part:
    """A segment apart from any segmentation, with what it shows: data by representation name."""

    id: str
    segment: "slicer.vtkSegment"
    representations: Mapping[str, vtk.vtkDataObject]


@dataclass(frozen=True)
class _Content:
    """What a segmentation holds: the name of the representation the others derive from, and its segments."""

    source: str
    parts: list[_Part]


def volume_from_node(node: "slicer.vtkMRMLScalarVolumeNode") -> Volume:
    """A copy of the node's voxels, (1, K, J, I) in their own scalar type, on the node's own grid.

    A linear parent transform is left out: it would change spacing only by scaling or shearing the patient.

    Raises:
        InputError: the node is no grey volume with voxels, or a parent transform bends it.
    """
    _check_volume_node(node)
    voxels = slicer.util.arrayFromVolume(node)
    return Volume(np.array(voxels)[np.newaxis], _geometry(node))


def _check_volume_node(node: "slicer.vtkMRMLScalarVolumeNode") -> None:
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError("No volume is chosen: choose a CT or MR volume.")
    name = node.GetName()
    image = node.GetImageData()
    if image is None or image.GetPointData() is None or image.GetPointData().GetScalars() is None:
        raise InputError(f"The volume {name} has no voxels: load it again or choose another one.")
    if image.GetNumberOfScalarComponents() != 1 or node.IsA("vtkMRMLVectorVolumeNode"):
        raise InputError(f"The volume {name} has several values a voxel (colours?): convert it to a scalar volume.")
    transform = node.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise InputError(f"The volume {name} is under a transform that is not linear: harden the transform first.")


def _geometry(node: "slicer.vtkMRMLScalarVolumeNode") -> Geometry:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    i, j, k = node.GetImageData().GetDimensions()
    return Geometry((k, j, i), slicer.util.arrayFromVTKMatrix(matrix))


def show_label_map(
    label_map: LabelMap,
    volume_node: "slicer.vtkMRMLScalarVolumeNode",
    segmentation_node: "slicer.vtkMRMLSegmentationNode | None" = None,
    standard_names: bool = False,
    description: str = "",
) -> "slicer.vtkMRMLSegmentationNode":
    """Puts `label_map` into the volume's scene: one segment a label that occurs, beside the volume.

    Segments have the structure's name (`kidney_left`) as their ID, in label order.

    Args:
        label_map: labels (K, J, I) on the volume's own grid, as `volume_from_node` gave it.
        volume_node: the volume that was segmented.
        segmentation_node: the node whose segments are replaced; None makes a new one.
        standard_names: show segments in words (`left kidney`), not as the network names them.
        description: of the node, in words: what the segments are worth.

    Returns:
        The segmentation node.

    Raises:
        InputError: the volume's grid is no longer that of the label map.

    Whatever is raised, the scene is then as it was before.
    """
    _check_volume_node(volume_node)
    _check_same_grid(label_map.geometry, _geometry(volume_node), volume_node.GetName())
    parts = _segments(label_map, standard_names)
    with _undo_on_error() as undo:
        node = segmentation_node or _new_node(volume_node, undo)
        undo.callback(node.SetDescription, node.GetDescription())
        node.SetDescription(description)
        _replace_segments(node, parts, undo)
        _ensure_display(node, undo)
        _follow_volume(node, volume_node, undo)
        _place_beside(node, volume_node, undo)
    return node


def _check_same_grid(labels: Geometry, volume: Geometry, name: str) -> None:
    if not labels.is_same_grid(volume):
        raise InputError(f"The volume {name} was moved or changed after it was read: segment it again.")


def _segments(label_map: LabelMap, standard_names: bool) -> list[_Part]:
    """One segment a label that occurs, in label order; they share one labelmap, as Slicer's own importer makes them.

    Not made by ImportLabelmapToSegmentationNode: that maps the i-th ID to label i + 1 whatever labels occur, needs
    nodes in a scene, and shares the buffer it is given.
    """
    image = _oriented_image(label_map)
    parts = []
    for label in label_map.voxel_counts():
        structure = style(label_map.names.get(label, f"label_{label}"))
        parts.append(_Part(structure.name, _segment(structure, label, standard_names), {_BINARY_LABELMAP: image}))
    if len({part.id for part in parts}) < len(parts):
        raise InputError("Two labels of the model have the same name: give each structure its own.")
    return parts


def _oriented_image(label_map: LabelMap) -> "slicer.vtkOrientedImageData":
    dtype = np.min_scalar_type(label_map.labels.max())
    k, j, i = label_map.geometry.shape
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(i, j, k)
    image.GetPointData().SetScalars(numpy_to_vtk(label_map.labels.astype(dtype, copy=False).ravel(), deep=True))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(label_map.geometry.ijk_to_ras))
    return image


def _segment(structure: SegmentStyle, label: int, standard_names: bool) -> "slicer.vtkSegment":
    segment = slicer.vtkSegment()
    segment.SetLabelValue(label)
    segment.SetName(structure.label if standard_names else structure.name)
    segment.SetColor(*structure.color)
    segment.SetNameAutoGenerated(False)
    segment.SetColorAutoGenerated(False)
    if structure.terminology:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), structure.terminology)
    return segment


@contextmanager
def _undo_on_error() -> Iterator[ExitStack]:
    """Runs the callbacks it is given, last first, if the block fails, and forgets them if it does not."""
    with ExitStack() as undo:
        yield undo
        undo.pop_all()


def _new_node(volume_node: "slicer.vtkMRMLScalarVolumeNode", undo: ExitStack) -> "slicer.vtkMRMLSegmentationNode":
    scene = volume_node.GetScene()
    name = scene.GenerateUniqueName(f"{volume_node.GetName()} segmentation")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    undo.callback(scene.RemoveNode, node)
    return node


def _replace_segments(node: "slicer.vtkMRMLSegmentationNode", parts: list[_Part], undo: ExitStack) -> None:
    segmentation = node.GetSegmentation()
    if node.GetDisplayNode():
        display = slicer.vtkMRMLSegmentationDisplayNode()
        display.CopyContent(node.GetDisplayNode())
        undo.callback(node.GetDisplayNode().CopyContent, display)
    undo.callback(segmentation.DeserializeConversionParameters, segmentation.SerializeAllConversionParameters())
    before = _Content(segmentation.GetSourceRepresentationName(), _take_out(segmentation))
    undo.callback(_put_in, segmentation, before)
    undo.callback(_take_out, segmentation)
    _put_in(segmentation, _Content(_BINARY_LABELMAP, parts))


def _take_out(segmentation: "slicer.vtkSegmentation") -> list[_Part]:
    """Empties the segmentation; what it held keeps its voxels.

    Representations go first: a segment removed while it shares a labelmap has its voxels erased from it, which also
    takes minutes for a large one.
    """
    parts = []
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        names: list[str] = []
        segment.GetContainedRepresentationNames(names)
        parts.append(_Part(segment_id, segment, {name: segment.GetRepresentation(name) for name in names}))
        segment.RemoveAllRepresentations()
    segmentation.RemoveAllSegments()
    return parts


def _put_in(segmentation: "slicer.vtkSegmentation", content: _Content) -> None:
    segmentation.SetSourceRepresentationName(content.source)
    for part in content.parts:
        for name, data in part.representations.items():
            part.segment.AddRepresentation(name, data)
        segmentation.AddSegment(part.segment, part.id)


def _ensure_display(node: "slicer.vtkMRMLSegmentationNode", undo: ExitStack) -> None:
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        undo.callback(node.GetScene().RemoveNode, node.GetDisplayNode())


def _follow_volume(
    node: "slicer.vtkMRMLSegmentationNode", volume_node: "slicer.vtkMRMLScalarVolumeNode", undo: ExitStack
) -> None:
    """The volume's geometry as reference for editing and export, and the volume's parent transform."""
    role = node.GetReferenceImageGeometryReferenceRole()
    undo.callback(node.SetNodeReferenceID, role, node.GetNodeReferenceID(role))
    undo.callback(node.SetAndObserveTransformNodeID, node.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())


def _place_beside(
    node: "slicer.vtkMRMLSegmentationNode", volume_node: "slicer.vtkMRMLScalarVolumeNode", undo: ExitStack
) -> None:
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if tree is None:
        return
    volume_item = tree.GetItemByDataNode(volume_node)
    parent = tree.GetItemParent(volume_item) if volume_item else tree.GetSceneItemID()
    item = tree.GetItemByDataNode(node)
    if item:
        undo.callback(tree.SetItemParent, item, tree.GetItemParent(item))
        tree.SetItemParent(item, parent)
    else:  # the application makes an item for every node, the scene alone does not
        undo.callback(tree.RemoveItem, tree.CreateItem(parent, node), False)


def save_segmentation(node: "slicer.vtkMRMLSegmentationNode", path: Path) -> None:
    """Writes the node as 3D Slicer itself does, to a `.seg.nrrd`; the scene stays as it was.

    Raises:
        OutputError: the suffix is another one, the place cannot be written to, or the disk is full.
    """
    path = Path(path)
    if output_suffix(path) != SEGMENTATION_SUFFIX:
        raise OutputError(f"{path} is not a segmentation file: end its name in {SEGMENTATION_SUFFIX}.")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    with whole_file(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(node):
            raise OutputError(f"{path} could not be written to its end: free some space or choose another folder.")


def headless_scene() -> "slicer.vtkMRMLScene":
    """A scene with the logics that segmentations need, for use without the application; it becomes slicer.mrmlScene.

    Raises:
        RuntimeError: the application runs, which has a scene already.
    """
    if hasattr(slicer, "app"):
        raise RuntimeError("The application is running: use slicer.mrmlScene.")
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    colors = slicer.vtkMRMLColorLogic()
    colors.SetMRMLScene(scene)
    logics = {
        "Volumes": slicer.vtkSlicerVolumesLogic(),
        "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic(),
        "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
    }
    for name, logic in logics.items():
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
    slicer.mrmlScene = scene
    # Where slicer.util looks for logics; it also keeps them alive.
    modules = {name.lower(): SimpleNamespace(logic=_returns(logic)) for name, logic in logics.items()}
    slicer.modules = SimpleNamespace(**modules, application_logic=application, color_logic=colors)
    return scene


def _returns(value: object) -> Callable[[], object]:
    return lambda: value

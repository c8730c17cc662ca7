"""The real MRML classes: a volume node in, a segmentation node out, and the scene untouched when that fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.geometries import SHAPE, geometries, labels_with_gaps, oblique, rotation
from support.paths import DATA

slicer = pytest.importorskip("slicer")
import vtk  # noqa: E402

from TuckerSegLib.errors import InputError, OutputError  # noqa: E402
from TuckerSegLib.volumes import scene as mrml  # noqa: E402
from TuckerSegLib.volumes.files import read_volume, write_segmentation  # noqa: E402
from TuckerSegLib.volumes.scene import headless_scene, save_segmentation, show_label_map, volume_from_node  # noqa: E402
from TuckerSegLib.volumes.terminology import style  # noqa: E402
from TuckerSegLib.volumes.volume import Geometry, LabelMap, Matrix  # noqa: E402

# mypy: allow-untyped-calls

VOXELS = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Scene: TypeAlias = Any  # slicer.vtkMRMLScene
Node: TypeAlias = Any  # slicer.vtkMRMLNode and its kinds


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = headless_scene()
    yield scene
    scene.Clear(1)


def add_volume(scene: Scene, geometry: Geometry, voxels: np.ndarray = VOXELS, name: str = "CT") -> Node:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(geometry.ijk_to_ras))
    return node


def add_transform(scene: Scene, matrix: Matrix) -> Node:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def moved() -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((0.8, 0.3, 0.1, -0.2)), (40, -70, 15)
    return matrix


def segment_ids(node: Node) -> list[str]:
    return list(node.GetSegmentation().GetSegmentIDs())


def assert_shows(node: Node, label_map: LabelMap, volume_node: Node) -> None:
    """Each segment, resampled by Slicer onto the volume, is the voxels of its label."""
    for label in label_map.voxel_counts():
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, label_map.names[label], volume_node)
        np.testing.assert_array_equal(shown > 0, label_map.labels == label)


def world_matrix(node: Node, segment_id: str) -> Matrix:
    matrix = vtk.vtkMatrix4x4()
    node.GetSegmentation().GetSegment(segment_id).GetRepresentation("Binary labelmap").GetImageToWorldMatrix(matrix)
    array: Matrix = slicer.util.arrayFromVTKMatrix(matrix)
    return array


def state(scene: Scene) -> list[tuple[object, ...]]:
    """Everything a user could see change: nodes, segments and their voxels, transforms, places in the tree."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    seen: list[tuple[object, ...]] = [(tree.GetNumberOfItems(),)]
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        seen.append((node.GetID(), node.GetName(), tree.GetItemParent(tree.GetItemByDataNode(node))))
        if node.IsA("vtkMRMLSegmentationNode"):
            display = node.GetDisplayNode()
            segmentation = node.GetSegmentation()
            seen.append((node.GetTransformNodeID(), display and display.GetID()))
            seen.append((node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()),))
            seen.append((segmentation.SerializeAllConversionParameters(), segmentation.GetSourceRepresentationName()))
            for segment_id in segment_ids(node):
                segment = segmentation.GetSegment(segment_id)
                image = segment.GetRepresentation("Binary labelmap")
                voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
                look = (segment.GetName(), segment.GetColor(), segment.GetLabelValue())
                seen.append((segment_id, *look, display and display.GetSegmentOpacity2DFill(segment_id)))
                seen.append((voxels.tobytes(), world_matrix(node, segment_id).tobytes()))
    return seen


# A volume node in


@few
@given(geometry=geometries())
def test_a_volume_is_read_with_its_grid(scene: Scene, geometry: Geometry) -> None:
    volume = volume_from_node(add_volume(scene, geometry))
    np.testing.assert_array_equal(volume.voxels, VOXELS[np.newaxis])
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, geometry.ijk_to_ras, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_every_scalar_type_is_read_and_segmented(scene: Scene, dtype: type) -> None:
    node = add_volume(scene, oblique(), VOXELS.astype(dtype))
    volume = volume_from_node(node)
    assert volume.voxels.dtype == dtype
    label_map = labels_with_gaps(volume.geometry)
    assert_shows(show_label_map(label_map, node), label_map, node)


def test_the_voxels_are_a_copy(scene: Scene) -> None:
    node = add_volume(scene, oblique())
    volume_from_node(node).voxels[:] = 0
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), VOXELS)


def test_nodes_that_are_no_grey_volume_are_refused(scene: Scene) -> None:
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    colour = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Colour")
    slicer.util.updateVolumeFromArray(colour, np.zeros((*SHAPE, 3), np.uint8))
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Model")
    for node, words in ((empty, "no voxels"), (colour, "colours"), (model, "No volume"), (None, "No volume")):
        with pytest.raises(InputError, match=words):
            volume_from_node(node)


def test_a_transform_that_bends_is_refused(scene: Scene) -> None:
    node = add_volume(scene, oblique())
    bend = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bend")
    bend.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(bend.GetID())
    with pytest.raises(InputError, match="harden"):
        volume_from_node(node)


# A segmentation node out


@few
@given(geometry=geometries())
def test_labels_with_gaps_lie_on_the_volume(scene: Scene, geometry: Geometry) -> None:
    volume_node = add_volume(scene, geometry)
    label_map = labels_with_gaps(volume_from_node(volume_node).geometry)
    node = show_label_map(label_map, volume_node)
    assert segment_ids(node) == ["spleen", "liver", "costal_cartilages"]
    assert_shows(node, label_map, volume_node)
    np.testing.assert_allclose(world_matrix(node, "liver"), geometry.ijk_to_ras, atol=1e-6)
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    assert reference.GetID() == volume_node.GetID()


def test_labels_of_a_cropped_volume_lie_in_the_whole_one(scene: Scene) -> None:
    whole = add_volume(scene, oblique(), name="Whole")
    geometry = oblique()
    start = np.eye(4)
    start[:3, 3] = (2, 1, 1)  # i, j, k
    cropped = add_volume(scene, Geometry((2, 3, 3), geometry.ijk_to_ras @ start), VOXELS[1:3, 1:4, 2:5], "Cropped")
    label_map = labels_with_gaps(volume_from_node(cropped).geometry)
    node = show_label_map(label_map, cropped)
    expected = np.zeros(SHAPE, bool)
    expected[1:3, 1:4, 2:5] = label_map.labels == 5
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", whole) > 0, expected)


def test_the_segmentation_moves_with_the_volume(scene: Scene) -> None:
    volume_node = add_volume(scene, oblique())
    transform = add_transform(scene, moved())
    volume_node.SetAndObserveTransformNodeID(transform.GetID())
    volume = volume_from_node(volume_node)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, oblique().ijk_to_ras, atol=1e-6)
    label_map = labels_with_gaps(volume.geometry)
    node = show_label_map(label_map, volume_node)
    assert node.GetTransformNodeID() == transform.GetID()
    assert_shows(node, label_map, volume_node)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved() @ moved()))
    assert_shows(node, label_map, volume_node)


@pytest.mark.parametrize("standard_names", [False, True])
def test_segments_have_names_colours_and_codes(scene: Scene, standard_names: bool) -> None:
    volume_node = add_volume(scene, oblique())
    node = show_label_map(labels_with_gaps(oblique()), volume_node, standard_names=standard_names)
    for name in segment_ids(node):
        segment, look = node.GetSegmentation().GetSegment(name), style(name)
        assert segment.GetName() == (look.label if standard_names else name)
        assert segment.GetColor() == pytest.approx(look.color)
        tag = vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        assert str(tag) == look.terminology


def test_slicers_own_terminology_logic_understands_the_codes() -> None:
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.DeserializeTerminologyEntry(style("kidney_left").terminology, entry)
    assert entry.GetTypeObject().GetCodeValue() == "64033007"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Left"
    assert logic.SerializeTerminologyEntry(entry) == style("kidney_left").terminology


def test_a_label_map_without_labels_is_an_empty_segmentation(scene: Scene) -> None:
    node = show_label_map(LabelMap(np.zeros(SHAPE, np.uint8), oblique()), add_volume(scene, oblique()))
    assert segment_ids(node) == [] and node.GetDisplayNode()


def test_labels_beyond_a_byte_and_without_names_are_shown(scene: Scene) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[0], labels[1] = 300, 301
    volume_node = add_volume(scene, oblique())
    label_map = LabelMap(labels, oblique(), {300: "label_300", 301: "label_301"})
    node = show_label_map(LabelMap(labels, oblique()), volume_node)
    assert_shows(node, label_map, volume_node)


def test_the_label_map_can_be_changed_afterwards(scene: Scene) -> None:
    volume_node = add_volume(scene, oblique())
    label_map = labels_with_gaps(oblique())
    node = show_label_map(label_map, volume_node)
    label_map.labels[:] = 0
    assert_shows(node, labels_with_gaps(oblique()), volume_node)


def test_the_segmentation_is_placed_beside_its_volume(scene: Scene) -> None:
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.CreateSubjectItem(tree.GetSceneItemID(), "Patient"), "Study")
    volume_node = add_volume(scene, oblique())
    tree.CreateItem(study, volume_node)
    node = show_label_map(labels_with_gaps(oblique()), volume_node)
    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == study
    assert node.GetName() == "CT segmentation"
    loose = add_volume(scene, oblique(), name="Loose")
    other = show_label_map(labels_with_gaps(oblique()), loose)
    assert tree.GetItemParent(tree.GetItemByDataNode(other)) == tree.GetSceneItemID()


def chosen_node(scene: Scene, volume_node: Node) -> Node:
    """A segmentation with an older result and a user's own settings."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[0], labels[1] = 1, 2
    node = show_label_map(LabelMap(labels, oblique(), {1: "tumour", 2: "liver"}), volume_node)
    node.GetDisplayNode().SetSegmentOpacity2DFill("tumour", 0.25)
    return node


def test_a_chosen_segmentation_gets_the_new_segments_only(scene: Scene) -> None:
    volume_node = add_volume(scene, oblique())
    node = chosen_node(scene, volume_node)
    display, nodes = node.GetDisplayNode(), scene.GetNumberOfNodes()
    events: list[str] = []
    for name in ("SegmentAdded", "SegmentRemoved"):
        node.AddObserver(getattr(slicer.vtkSegmentation, name), lambda *_, name=name: events.append(name))
    label_map = labels_with_gaps(oblique())
    assert show_label_map(label_map, volume_node, node) is node
    assert segment_ids(node) == ["spleen", "liver", "costal_cartilages"]
    assert (node.GetDisplayNode(), scene.GetNumberOfNodes()) == (display, nodes)
    assert_shows(node, label_map, volume_node)
    assert events.count("SegmentAdded") == 3 and events.count("SegmentRemoved") == 2


# The scene when it fails


STEPS = ("_segment", "_put_in", "_ensure_display", "_follow_volume", "_place_beside")


@pytest.mark.parametrize("chosen", [False, True], ids=["new node", "chosen node"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_leaves_the_scene_as_it_was(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str, after: bool, chosen: bool
) -> None:
    volume_node = add_volume(scene, oblique())
    node = chosen_node(scene, volume_node) if chosen else None
    transform = add_transform(scene, moved())
    volume_node.SetAndObserveTransformNodeID(transform.GetID())
    before = state(scene)
    original = getattr(mrml, step)
    calls = iter([True])

    def fails(*arguments: object) -> object:
        failing = next(calls, False)
        if failing and not after:
            raise MemoryError("injected")
        result = original(*arguments)
        if failing:
            raise MemoryError("injected")
        return result

    monkeypatch.setattr(mrml, step, fails)
    with pytest.raises(MemoryError, match="injected"):
        show_label_map(labels_with_gaps(oblique()), volume_node, node)
    assert state(scene) == before


def test_a_volume_that_changed_meanwhile_is_refused_and_the_scene_kept(scene: Scene) -> None:
    volume_node = add_volume(scene, oblique())
    label_map = labels_with_gaps(volume_from_node(volume_node).geometry)
    volume_node.SetOrigin(1, 2, 3)
    before = state(scene)
    with pytest.raises(InputError, match="segment it again"):
        show_label_map(label_map, volume_node)
    assert state(scene) == before


def test_two_labels_of_one_name_are_refused_and_the_scene_kept(scene: Scene) -> None:
    volume_node = add_volume(scene, oblique())
    before = state(scene)
    twice = LabelMap(labels_with_gaps(oblique()).labels, oblique(), {1: "liver", 5: "liver", 117: "spleen"})
    with pytest.raises(InputError, match="same name"):
        show_label_map(twice, volume_node)
    assert state(scene) == before


# Files of 3D Slicer


def loaded(scene: Scene, path: Path) -> Node:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


@few
@given(geometry=geometries())
def test_slicer_reads_the_written_segmentation(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory, geometry: Geometry
) -> None:
    path = tmp_path_factory.mktemp("files") / "out.seg.nrrd"
    label_map = labels_with_gaps(geometry)
    write_segmentation(label_map, path, standard_names=True)
    node = loaded(scene, path)
    assert segment_ids(node) == ["spleen", "liver", "costal_cartilages"]
    assert_shows(node, label_map, add_volume(scene, geometry))
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    for label in label_map.voxel_counts():
        look = style(label_map.names[label])
        segment = node.GetSegmentation().GetSegment(look.name)
        assert (segment.GetName(), segment.GetLabelValue()) == (look.label, label)
        assert segment.GetColor() == pytest.approx(look.color, abs=1e-5)
        tag = vtk.reference("")
        assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        assert str(tag) == look.terminology


def test_a_segmentation_node_is_saved_and_the_scene_kept(scene: Scene, tmp_path: Path) -> None:
    volume_node = add_volume(scene, oblique())
    label_map = labels_with_gaps(oblique())
    node = show_label_map(label_map, volume_node)
    before = state(scene)
    save_segmentation(node, tmp_path / "out.seg.nrrd")
    assert state(scene) == before
    volume = read_volume([tmp_path / "out.seg.nrrd"])
    np.testing.assert_array_equal(volume.voxels[0], label_map.labels)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, oblique().ijk_to_ras, atol=1e-4)
    for path in (tmp_path / "none" / "out.seg.nrrd", tmp_path / "out.nii.gz"):
        with pytest.raises(OutputError):
            save_segmentation(node, path)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real scans are not at {DATA}")
def test_a_real_segmentation_with_61_structures_is_shown(scene: Scene) -> None:
    scan, labels = read_volume([DATA / "torso_ct_3mm.nii.gz"]), read_volume([DATA / "torso_ct_3mm_labels.nii.gz"])
    volume_node = add_volume(scene, scan.geometry, scan.voxels[0])
    label_map = LabelMap(labels.voxels[0].astype(np.uint8), scan.geometry, {n: f"structure_{n}" for n in range(1, 118)})
    node = show_label_map(label_map, volume_node)
    present = list(label_map.voxel_counts())
    assert len(segment_ids(node)) == len(present) == 61
    for label in present[::20]:
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, f"structure_{label}", volume_node)
        np.testing.assert_array_equal(shown > 0, label_map.labels == label)

"""3D Slicer's own core on the DICOM Segmentation objects: it reads the frames that were written, where they were."""

# mypy: allow-untyped-calls

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from support.dicom_series import right_handed, write_series
from support.geometries import SHAPE, labels_with_gaps, oblique, rotation

from TuckerSegLib.volumes.dicom.results.segmentation import write_dicom_segmentation
from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import Geometry

pytest.importorskip("highdicom")
slicer = pytest.importorskip("slicer")

GEOMETRIES = {
    "axial": Geometry.from_lps(SHAPE, (0.8, 1.25, 3.0), (-120.5, 33.25, 810.0), np.eye(3)),
    "oblique": Geometry.from_lps(SHAPE, (0.8, 1.25, 3.0), (-120.5, 33.25, 810.0), rotation((0.9, 0.1, -0.3, 0.2))),
    "from a left-handed order": oblique(),
}


def frames_in_slicer(path: Path) -> np.ndarray:
    """(frames, rows, columns), as 3D Slicer's storage node reads them."""
    node, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    frames: np.ndarray = slicer.util.arrayFromVolume(node) != 0
    return frames


def segments_in_slicer(path: Path, geometry: Geometry) -> dict[str, np.ndarray]:
    """Each segment's voxels (K, J, I) of a `.seg.nrrd`, as 3D Slicer's storage node reads them."""
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene = slicer.vtkMRMLScene()
    scene.AddNode(node)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    segmentation, found = node.GetSegmentation(), {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        image = segment.GetRepresentation("Binary labelmap")
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        whole = np.zeros(geometry.shape, bool)
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment_id)
        whole[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels == segment.GetLabelValue()
        found[segment.GetName()] = whole
    return found


def slice_and_segment(content: Any, geometry: Geometry) -> list[tuple[int, str]]:
    """Where each frame lies, by its own position."""
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in content.SegmentSequence}
    ras_to_ijk, places = np.linalg.inv(geometry.ijk_to_ras), []
    for groups in content.PerFrameFunctionalGroupsSequence:
        x, y, z = map(float, groups.PlanePositionSequence[0].ImagePositionPatient)
        k = (ras_to_ijk @ (-x, -y, z, 1))[2]
        places.append((round(k), names[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]))
    return places


@pytest.mark.parametrize("name", GEOMETRIES)
def test_slicer_reads_the_same_segments_from_both_files(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "ct", right_handed(GEOMETRIES[name]))
    geometry = read_volume([tmp_path / "ct"]).geometry
    label_map = labels_with_gaps(geometry)
    write_dicom_segmentation(label_map, [tmp_path / "ct"], tmp_path / "out.dcm", {})
    write_segmentation(label_map, tmp_path / "out.seg.nrrd")
    expected = segments_in_slicer(tmp_path / "out.seg.nrrd", geometry)
    frames = frames_in_slicer(tmp_path / "out.dcm")
    places = slice_and_segment(pydicom.dcmread(tmp_path / "out.dcm"), geometry)
    assert len(frames) == len(places)
    found = {segment: np.zeros(geometry.shape, bool) for _, segment in places}
    for frame, (k, segment) in zip(frames, places, strict=True):
        found[segment][k] = frame
    assert set(found) == set(expected) == {"spleen", "liver", "costal_cartilages"}
    for segment, voxels in expected.items():
        np.testing.assert_array_equal(found[segment], voxels)

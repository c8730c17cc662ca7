"""DICOM Segmentation objects: every voxel where it was, for a reader that knows nothing of the writer."""

# mypy: allow-untyped-calls

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code
from support.dicom_series import enhanced, right_handed, save, slices_of, write_series
from support.geometries import SHAPE, labels_with_gaps, oblique, rotation

from TuckerSegLib.errors import InputError, OutputError
from TuckerSegLib.volumes.dicom.results.segmentation import check_dicom_output, write_dicom_segmentation
from TuckerSegLib.volumes.files import check_output, read_volume
from TuckerSegLib.volumes.volume import Geometry, LabelMap

pytest.importorskip("highdicom")

STORED = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)

ALGORITHM = {"model": "total-fast", "factor": "0.5"}

AXES = {
    "axial": np.eye(3),
    "axial, feet first": np.diag([1.0, -1.0, -1.0]),
    "prone": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]).T @ np.eye(3),
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).T,
    "oblique": rotation((0.9, 0.1, -0.3, 0.2)),
    "double oblique": rotation((0.4, 0.6, -0.3, 0.5)),
}


def grid(direction: np.ndarray, spacing: tuple[float, float, float] = (0.8, 1.25, 3.0)) -> Geometry:
    return right_handed(Geometry.from_lps(SHAPE, spacing, (-120.5, 33.25, 810.0), direction))


GEOMETRIES = {
    **{name: grid(direction) for name, direction in AXES.items()},
    "isotropic": grid(np.eye(3), (1.0, 1.0, 1.0)),
    "thin slices": grid(np.eye(3), (0.7, 0.7, 0.5)),
    "thick slices": grid(rotation((0.9, 0.1, -0.3, 0.2)), (0.5, 0.5, 10.0)),
    "from a left-handed order": right_handed(oblique()),
}


def voxels_of(path: Path, geometry: Geometry) -> dict[str, np.ndarray]:
    """Each segment's voxels (K, J, I), placed by the frames' own positions alone."""
    content = pydicom.dcmread(path)
    frames = content.pixel_array.reshape(-1, content.Rows, content.Columns)
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in content.SegmentSequence}
    found = {name: np.zeros(geometry.shape, bool) for name in names.values()}
    ras_to_ijk = np.linalg.inv(geometry.ijk_to_ras)
    for frame, groups in zip(frames, content.PerFrameFunctionalGroupsSequence, strict=True):
        x, y, z = map(float, groups.PlanePositionSequence[0].ImagePositionPatient)
        i, j, k = (ras_to_ijk @ (-x, -y, z, 1))[:3]
        assert np.allclose([i, j], 0, atol=1e-3) and abs(k - round(k)) < 1e-3
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[names[number]][round(k)] = frame.astype(bool)
    return found


def check_round_trip(image: Path, geometry: Geometry, out: Path) -> None:
    label_map = labels_with_gaps(read_volume([image]).geometry)
    write_dicom_segmentation(label_map, [image], out, ALGORITHM)
    found = voxels_of(out, geometry)
    assert set(found) == {"spleen", "liver", "costal_cartilages"}
    for label, name in label_map.names.items():
        if name in found:
            np.testing.assert_array_equal(found[name], label_map.labels == label)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_voxel_comes_back(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "ct", GEOMETRIES[name])
    check_round_trip(tmp_path / "ct", GEOMETRIES[name], tmp_path / "out.dcm")


def test_that_of_reversed_slices_too(tmp_path: Path) -> None:
    datasets = slices_of(GEOMETRIES["oblique"], STORED)
    for number, dataset in enumerate(datasets):
        dataset.InstanceNumber = 10 - number
    save(datasets, tmp_path / "ct")
    check_round_trip(tmp_path / "ct", GEOMETRIES["oblique"], tmp_path / "out.dcm")


def test_and_that_of_a_multi_frame_file(tmp_path: Path) -> None:
    geometry = GEOMETRIES["oblique"]
    (file,) = save([enhanced(geometry, STORED, [(1, 0)] * 4)], tmp_path / "ct")
    for image in (tmp_path / "ct", file):
        check_round_trip(image, geometry, tmp_path / "out.dcm")


def test_it_names_the_patient_the_slices_the_codes_and_the_algorithm(tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", GEOMETRIES["axial"])
    label_map = labels_with_gaps(read_volume([files[0]]).geometry)
    write_dicom_segmentation(label_map, [tmp_path / "ct"], tmp_path / "out.dcm", ALGORITHM, standard_names=True)
    content = pydicom.dcmread(tmp_path / "out.dcm")
    source = [pydicom.dcmread(file) for file in files]
    assert (content.PatientID, content.StudyInstanceUID) == (source[0].PatientID, source[0].StudyInstanceUID)
    assert content.SeriesInstanceUID != source[0].SeriesInstanceUID
    referenced = {
        one.ReferencedSOPInstanceUID for one in content.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced == {one.SOPInstanceUID for one in source}
    spleen = content.SegmentSequence[0]
    kind = spleen.SegmentedPropertyTypeCodeSequence[0]
    assert (spleen.SegmentLabel, kind.CodeValue) == ("spleen", "78961009")
    assert spleen.SegmentAlgorithmName == "TuckerSeg"
    told = spleen.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert all(word in told for word in ("total-fast", "0.5"))


def test_structures_without_a_code_get_one_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", GEOMETRIES["axial"])
    geometry = read_volume([tmp_path / "ct"]).geometry
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 1:3, 1:3] = 1
    label_map = LabelMap(labels, geometry, {1: "Hüfte [links], eine lange Bezeichnung"})
    write_dicom_segmentation(label_map, [tmp_path / "ct"], tmp_path / "out.dcm", {})
    (segment,) = pydicom.dcmread(tmp_path / "out.dcm").SegmentSequence
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert segment.SegmentLabel == kind.CodeMeaning == "Hüfte [links], eine lange Bezeichnung"
    assert Code(kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning).scheme_designator == "99TUCKERSEG"


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("kind", ["slices", "multi-frame"])
def test_it_keeps_the_rules_of_dicom(tmp_path: Path, kind: str) -> None:
    geometry = GEOMETRIES["oblique"]
    if kind == "slices":
        write_series(tmp_path / "ct", geometry)
    else:
        save([enhanced(geometry, STORED, [(1, 0)] * 4)], tmp_path / "ct")
    label_map = labels_with_gaps(read_volume([tmp_path / "ct"]).geometry)
    write_dicom_segmentation(label_map, [tmp_path / "ct"], tmp_path / "out.dcm", ALGORITHM)
    told = subprocess.run(["dciodvfy", tmp_path / "out.dcm"], capture_output=True, text=True).stderr
    assert [line for line in told.splitlines() if line.startswith("Error")] == []


def test_what_is_no_dicom_series_or_another_grid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(bytes(400))
    with pytest.raises(OutputError, match="needs a DICOM series"):
        check_dicom_output([tmp_path / "ct.nii.gz"])
    write_series(tmp_path / "ct", GEOMETRIES["axial"])
    check_dicom_output([tmp_path / "ct"])
    with pytest.raises(InputError, match="not on the grid"):
        write_dicom_segmentation(labels_with_gaps(oblique()), [tmp_path / "ct"], tmp_path / "out.dcm", {})
    empty = LabelMap(np.zeros(SHAPE, np.uint8), read_volume([tmp_path / "ct"]).geometry, {})
    with pytest.raises(InputError, match="Nothing was found"):
        write_dicom_segmentation(empty, [tmp_path / "ct"], tmp_path / "out.dcm", {})
    assert not (tmp_path / "out.dcm").exists()


def test_one_beside_the_slices_is_no_image_and_can_be_written_again(tmp_path: Path) -> None:
    write_series(tmp_path, GEOMETRIES["axial"])
    for _ in range(2):
        check_output(tmp_path / "out.dcm", [tmp_path])
        volume = read_volume([tmp_path])
        write_dicom_segmentation(labels_with_gaps(volume.geometry), [tmp_path], tmp_path / "out.dcm", {})

"""DICOM structure sets and reports: every voxel inside its outline, every number where a reader looks for it."""

# mypy: allow-untyped-calls

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from skimage.measure import points_in_poly
from support.dicom_series import enhanced, save, write_series
from support.geometries import labels_with_gaps, oblique, rotation

from TuckerSegLib.errors import InputError, OutputError
from TuckerSegLib.volumes.dicom.results.besides import Besides
from TuckerSegLib.volumes.dicom.results.contours import outlines
from TuckerSegLib.volumes.dicom.results.segmentation import write_dicom_segmentation
from TuckerSegLib.volumes.dicom.results.structure_set import write_structure_set
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry, LabelMap

ALGORITHM = {"model": "total-fast", "factor": "0.5"}

SHAPE = (4, 40, 37)

STORED = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)

AXES = {
    "axial": np.eye(3),
    "feet first": np.diag([1.0, -1.0, -1.0]),
    "sagittal": np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]),
    "oblique": rotation((0.4, 0.6, -0.3, 0.5)),
}


def grid(direction: np.ndarray) -> Geometry:
    return Geometry.from_lps(SHAPE, (0.8, 1.25, 3.0), (-120.5, 33.25, 810.0), direction)


def rings(geometry: Geometry) -> LabelMap:
    """A structure with holes in holes, one of scattered voxels, and one that is nowhere."""
    j, i = np.meshgrid(*map(np.arange, geometry.shape[1:]), indexing="ij")
    distance = np.hypot(j - 19, i - 17)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[:, (distance > 3) & (distance < 6) | (distance > 9) & (distance < 15)] = 7
    labels[:, 15:22, 4:6] = 0
    scattered = np.random.default_rng(0).random(geometry.shape) > 0.6
    labels[scattered & (labels == 0)] = 9
    labels[0] = 0
    return LabelMap(labels, geometry, {7: "liver", 9: "spleen", 11: "kidney_left"})


def enclosed(path: Path, geometry: Geometry) -> dict[str, np.ndarray]:
    """Each region's voxels (K, J, I): those whose centres its outlines enclose, by the outlines' points alone."""
    content = pydicom.dcmread(path)
    names = {region.ROINumber: region.ROIName for region in content.StructureSetROISequence}
    found = {name: np.zeros(geometry.shape, bool) for name in names.values()}
    ras_to_ijk = np.linalg.inv(geometry.ijk_to_ras)
    centres = np.stack(np.meshgrid(*map(np.arange, geometry.shape[1:]), indexing="ij"), -1).reshape(-1, 2)
    for region in content.ROIContourSequence:
        for contour in region.ContourSequence:
            assert contour.NumberOfContourPoints * 3 == len(contour.ContourData)
            points = np.array(contour.ContourData, float).reshape(-1, 3) * (-1, -1, 1)
            i, j, k = (np.c_[points, np.ones(len(points))] @ ras_to_ijk.T)[:, :3].T
            assert np.ptp(k) < 1e-3
            inside = points_in_poly(centres, np.stack([j, i], 1)).reshape(geometry.shape[1:])
            assert not (found[names[region.ReferencedROINumber]][round(k[0])] & inside).any()
            found[names[region.ReferencedROINumber]][round(k[0])] |= inside
    return found


def check_round_trip(image: Path, out: Path) -> None:
    label_map = rings(read_volume([image]).geometry)
    write_structure_set(label_map, [image], out, ALGORITHM)
    found = enclosed(out, label_map.geometry)
    assert set(found) == {"liver", "spleen"}
    np.testing.assert_array_equal(found["liver"], label_map.labels == 7)
    np.testing.assert_array_equal(found["spleen"], label_map.labels == 9)


@pytest.mark.parametrize("name", AXES)
def test_every_voxel_comes_back_from_its_outlines(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "ct", grid(AXES[name]), voxels=STORED.astype(np.int16))
    check_round_trip(tmp_path / "ct", tmp_path / "out.dcm")


def test_that_of_a_multi_frame_file_too(tmp_path: Path) -> None:
    (file,) = save([enhanced(grid(AXES["oblique"]), STORED, [(1, 0)] * 4)], tmp_path / "ct")
    check_round_trip(file, tmp_path / "out.dcm")


def test_an_outline_has_no_points_where_it_does_not_turn() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:25, 3:28] = True
    (outline,) = outlines(mask)
    assert len(outline) == 8  # a rectangle with its corners cut


def test_regions_have_colour_code_and_the_slices_they_lie_on(tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", grid(AXES["axial"]), voxels=STORED.astype(np.int16))
    label_map = rings(read_volume([files[0]]).geometry)
    write_structure_set(label_map, [tmp_path / "ct"], tmp_path / "out.dcm", ALGORITHM, standard_names=True)
    content = pydicom.dcmread(tmp_path / "out.dcm")
    first = pydicom.dcmread(files[0])
    assert (content.PatientID, content.StudyInstanceUID) == (first.PatientID, first.StudyInstanceUID)
    assert content.SeriesInstanceUID != first.SeriesInstanceUID
    region = content.ROIContourSequence[0]
    assert len(region.ROIDisplayColor) == 3
    assert content.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0].CodeMeaning == "Liver"
    for contour in region.ContourSequence:
        image = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        (source,) = [one for one in map(pydicom.dcmread, files) if one.SOPInstanceUID == image]
        assert contour.ContourData[2] == pytest.approx(source.ImagePositionPatient[2])


def besides(folder: Path, image: Path) -> Path:
    """A segmentation, and beside it a structure set and a report, of a series of two structures."""
    volume = read_volume([image])
    label_map = rings(volume.geometry)
    wanted = Besides(folder / "out.csv", folder / "structures.dcm", folder / "report.dcm")
    wanted.check(folder / "out.dcm", [image])
    write_dicom_segmentation(label_map, [image], folder / "out.dcm", ALGORITHM)
    wanted.write(volume, label_map, folder / "out.dcm", [image], ALGORITHM)
    return folder / "report.dcm"


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_a_report_gives_volumes_and_intensities_of_the_segments(tmp_path: Path, modality: str) -> None:
    pytest.importorskip("highdicom")
    for path in write_series(tmp_path / "ct", grid(AXES["axial"]), voxels=STORED.astype(np.int16)):
        dataset = pydicom.dcmread(path)
        dataset.Modality = modality
        dataset.save_as(path)
    report, volume = pydicom.dcmread(besides(tmp_path, tmp_path / "ct")), read_volume([tmp_path / "ct"])
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    label_map = rings(volume.geometry)
    for (name, label), numbers in zip({"Liver": 7, "Spleen": 9}.items(), measured(report), strict=True):
        inside = volume.voxels[0][label_map.labels == label]
        assert numbers["Finding"] == name
        assert numbers["Volume", "mm3"] == pytest.approx(len(inside) * 3.0, rel=1e-6)
        (unit,) = {key[1] for key in numbers if len(key) == 3}
        assert unit == ("[hnsf'U]" if modality == "CT" else "1")
        assert numbers["Mean", unit, 1] == pytest.approx(inside.mean(), rel=1e-6)
        assert numbers["Standard Deviation", unit, 1] == pytest.approx(inside.std(), rel=1e-6)


def measured(report: pydicom.Dataset) -> list[dict[Any, Any]]:
    """What each group of measurements says."""
    groups = [
        group
        for part in report.ContentSequence
        if part.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
        for group in part.ContentSequence
    ]
    found: list[dict[Any, Any]] = []
    for group in groups:
        numbers: dict[Any, Any] = {}
        for item in group.ContentSequence:
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            if item.ValueType == "CODE":
                numbers[name] = item.ConceptCodeSequence[0].CodeMeaning
            if item.ValueType == "NUM":
                value = item.MeasuredValueSequence[0]
                unit = value.MeasurementUnitsCodeSequence[0].CodeValue
                how = [one.ConceptCodeSequence[0].CodeMeaning for one in item.get("ContentSequence", [])]
                numbers[(*(how or [name]), unit, *([1] if how else []))] = float(value.NumericValue)
        found.append(numbers)
    return found


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("kind", ["slices", "multi-frame"])
def test_they_keep_the_rules_of_dicom(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("highdicom")
    if kind == "slices":
        write_series(tmp_path / "ct", grid(AXES["oblique"]), voxels=STORED.astype(np.int16))
    else:
        save([enhanced(grid(AXES["oblique"]), STORED, [(1, 0)] * 4)], tmp_path / "ct")
    besides(tmp_path, tmp_path / "ct")
    for name in ("structures.dcm", "report.dcm", "out.dcm"):
        told = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, text=True).stderr
        assert [line for line in told.splitlines() if line.startswith("Error")] == []


def test_what_cannot_be_made_is_said_before_the_run(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    write_series(tmp_path / "ct", grid(AXES["axial"]), voxels=STORED.astype(np.int16))
    ct, out = [tmp_path / "ct"], tmp_path / "out.dcm"
    for wanted, output, words in (
        (Besides(structure_set=tmp_path / "rt.nrrd"), out, "end it in .dcm"),
        (Besides(report=tmp_path / "report.dcm"), tmp_path / "out.seg.nrrd", "refers to a DICOM segmentation"),
        (Besides(report=out), out, "place of two results"),
        (Besides(structure_set=tmp_path / "none" / "rt.dcm"), out, "does not exist"),
        (Besides(structure_set=next(ct[0].iterdir())), out, "would overwrite the image"),
    ):
        with pytest.raises(OutputError, match=words):
            wanted.check(output, ct)
    with pytest.raises(OutputError, match="leave out --straighten"):
        Besides(structure_set=tmp_path / "rt.dcm").check(out, ct, straighten=True)
    with pytest.raises(OutputError, match="needs a DICOM series"):
        Besides(structure_set=tmp_path / "rt.dcm").check(out, [tmp_path / "ct.nii.gz"])
    with pytest.raises(InputError, match="not on the grid"):
        write_structure_set(labels_with_gaps(oblique()), ct, tmp_path / "rt.dcm", {})

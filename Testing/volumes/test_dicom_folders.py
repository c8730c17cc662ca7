"""Which DICOM files belong together: of a folder, of a medium, of several series and of what lies beside them."""

# mypy: allow-untyped-calls

from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import UID
from support.dicom_series import STORED, STRAIGHT, right_handed, save, slices_of, write_series
from support.geometries import SHAPE, oblique
from support.images import VOXELS, refused

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume


def test_files_beside_the_slices_do_not_matter(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()))
    write_series(tmp_path, right_handed(oblique()), uid="1.2.9", description="Scout", slices=[0])
    (tmp_path / "README.txt").write_text("Not DICOM.")
    assert read_volume([tmp_path]).voxels.shape == (1, *SHAPE)


def test_of_several_series_the_one_whose_file_is_named_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()))
    (second, *_) = write_series(tmp_path, STRAIGHT, uid="1.2.4", description="Abdomen", voxels=VOXELS + 1)
    message = refused(tmp_path, "2 volumes", "CT (4 slices from 1.2.3-001.dcm)", "CT (4 slices from 1.2.4-001.dcm)")
    assert "name a file of the one you want" in message
    np.testing.assert_array_equal(read_volume([second]).voxels[0], VOXELS + 1)


def test_refusals_do_not_quote_what_a_patient_may_be_known_by(tmp_path: Path) -> None:
    write_series(tmp_path, STRAIGHT, description="Doe, Jane, 4711")
    write_series(tmp_path, STRAIGHT, uid="1.2.4", description="Doe, Jane, 4711")
    message = refused(tmp_path, "2 volumes")
    assert not any(word in message for word in ("Doe", "Jane", "4711"))


def test_a_folder_without_a_volume_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no DICOM images")
    (tmp_path / "notes.txt").write_text("Not DICOM.")
    refused(tmp_path, "no DICOM images")
    write_series(tmp_path, right_handed(oblique()), slices=[2])
    refused(tmp_path, "no volume, only CT (1 slice from 1.2.3-003.dcm)")


def test_screenshots_and_overviews_among_the_slices_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, STRAIGHT)
    screenshot, overview = slices_of(STRAIGHT, STORED[:2], numbers=[0, 1])
    screenshot.SOPClassUID = screenshot.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    del screenshot.ImagePositionPatient
    overview.ImageType, overview.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [0, 1, 0, 0, 0, -1]
    screenshot.InstanceNumber, overview.InstanceNumber = 101, 102
    save([screenshot, overview], tmp_path)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], VOXELS)


def test_copies_of_slices_do_not_matter(tmp_path: Path) -> None:
    for path in write_series(tmp_path, STRAIGHT):
        path.with_name(f"copy-of-{path.name}").write_bytes(path.read_bytes())
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], VOXELS)


@pytest.mark.parametrize("same_name", [False, True], ids=["two phases", "two contents of one name"])
def test_two_phases_in_one_series_are_refused(tmp_path: Path, same_name: bool) -> None:
    first, second = slices_of(STRAIGHT, STORED), slices_of(STRAIGHT, STORED + 1)
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        other.InstanceNumber = 100 + number
        if same_name:
            other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    save([*first, *second], tmp_path)
    refused(tmp_path, "lie on each other", "phase")


@pytest.mark.parametrize("number", [0, 2, 3])
@pytest.mark.parametrize("length", [0, 100, 200, 400, 700, -30])
def test_a_truncated_slice_is_refused_even_at_the_end(tmp_path: Path, number: int, length: int) -> None:
    path = write_series(tmp_path, right_handed(oblique()))[number]
    path.write_bytes(path.read_bytes()[:length])
    refused(tmp_path, "damaged", path.name)


@pytest.mark.parametrize("number", [0, 3])
def test_a_slice_full_of_zeros_is_refused(tmp_path: Path, number: int) -> None:
    path = write_series(tmp_path, right_handed(oblique()))[number]
    path.write_bytes(bytes(path.stat().st_size))
    refused(tmp_path, "damaged", path.name)


def test_a_medium_with_a_directory_is_read(tmp_path: Path) -> None:
    medium = FileSet()
    for path in write_series(tmp_path / "series", STRAIGHT):
        medium.add(path)
    medium.write(tmp_path / "cd")
    assert (tmp_path / "cd" / "DICOMDIR").exists()
    for path in (tmp_path / "cd", tmp_path / "cd" / "DICOMDIR"):
        np.testing.assert_array_equal(read_volume([path]).voxels[0], VOXELS)
    next(path for path in sorted((tmp_path / "cd").rglob("*"), reverse=True) if path.is_file()).unlink()
    (tmp_path / "cd" / "DICOMDIR").exists() and refused(tmp_path / "cd", "copy the whole medium")


@pytest.mark.parametrize("modality", ["RTSTRUCT", "SR", "SEG", "PR"])
def test_results_beside_the_slices_are_no_images(tmp_path: Path, modality: str) -> None:
    write_series(tmp_path, STRAIGHT)
    (other,) = slices_of(STRAIGHT, STORED[:1], uid="1.2.8", numbers=[0])
    other.Modality = modality
    if modality != "SEG":
        del other.Rows, other.Columns, other.PixelData
    save([other], tmp_path)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], VOXELS)


def test_a_series_cut_in_two_is_not_taken_for_the_longer_part(tmp_path: Path) -> None:
    """As some exports do, with a UID for each part."""
    write_series(tmp_path, STRAIGHT, slices=[0, 1])
    write_series(tmp_path, STRAIGHT, uid="1.2.4", slices=[2, 3])
    refused(tmp_path, "holds 2 volumes", "2 slices from 1.2.3-001.dcm", "2 slices from 1.2.4-003.dcm")


def test_a_value_that_is_cut_off_and_only_asked_for_with_the_voxels_is_refused(tmp_path: Path) -> None:
    (first, *_) = write_series(tmp_path, oblique())
    representation = b"\x28\x00\x03\x01US\x02\x00\x00\x00"
    content = first.read_bytes()
    assert content.count(representation) == 1
    first.write_bytes(content.replace(representation, b"\x28\x00\x03\x01US\x01\x00\x00"))
    with pytest.raises(InputError, match="damaged"):
        read_volume([tmp_path])

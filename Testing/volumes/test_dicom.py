"""DICOM folders: every slice's own values, in the right place, or one sentence without the patient's data."""

# mypy: allow-untyped-calls

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from support.dicom_series import STORED, STRAIGHT, long_series, right_handed, save, slices_of, write_series
from support.geometries import SHAPE, geometries, oblique, world
from support.images import VOXELS, refused

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry


def changed(folder: Path, change: Callable[[int, Dataset], None], stored: np.ndarray = STORED) -> Path:
    """A series whose slices were changed before they were written."""
    datasets = slices_of(STRAIGHT, stored)
    for number, dataset in enumerate(datasets):
        change(number, dataset)
    save(datasets, folder)
    return folder


# Where slices lie


@settings(max_examples=8, deadline=None)
@given(geometry=geometries())
def test_a_dicom_folder_is_read_in_hounsfield_units_where_its_slices_lie(
    tmp_path_factory: pytest.TempPathFactory, geometry: Geometry
) -> None:
    folder = tmp_path_factory.mktemp("dicom")
    expected = right_handed(geometry)
    files = write_series(folder, expected)
    volume = read_volume([folder])
    np.testing.assert_array_equal(volume.voxels[0], VOXELS)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected.ijk_to_ras, atol=1e-3)
    itk = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), "1.2.3"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), VOXELS)
    for index in ((0, 0, 0), (5, 4, 3)):
        lps = np.array(itk.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(world(volume.geometry, *index), lps * (-1, -1, 1), atol=1e-3)
    np.testing.assert_array_equal(read_volume([files[2]]).voxels, volume.voxels)


def test_files_in_reverse_order_are_sorted_by_where_they_lie(tmp_path: Path) -> None:
    def reverse(number: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = 10 - number

    np.testing.assert_array_equal(read_volume([changed(tmp_path / "a", reverse)]).voxels[0], STORED - 1024.0)


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()), slices=[0, 1, 3])
    refused(tmp_path, "CT (3 slices from 1.2.3-001.dcm)", "not evenly spaced")


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    tilted = right_handed(oblique())
    tilted.ijk_to_ras[:3, 2] += 0.3 * tilted.ijk_to_ras[:3, 1]
    write_series(tmp_path, tilted)
    refused(tmp_path, "tilted gantry")


def test_steps_that_are_a_little_off_do_not_add_up(tmp_path: Path) -> None:
    """Each is within 6 % of the middle one; in the middle of the stack, slices lie 1.5 mm off an even one."""
    path = long_series(tmp_path / "a", lambda n: (0, 0, 1.9 * n + 0.2 * n * n / 120))
    refused(path, "not evenly spaced")


def test_a_slight_tilt_does_not_add_up(tmp_path: Path) -> None:
    refused(long_series(tmp_path / "a", lambda n: (0.009 * 2 * n, 0, 2 * n)), "tilted gantry")


def test_rounded_positions_are_taken(tmp_path: Path) -> None:
    path = long_series(tmp_path / "a", lambda n: (round(0.003 * (n % 3), 2), 0, round(2.00004 * n, 1)))
    assert read_volume([path]).geometry.spacing == pytest.approx((0.8, 0.8, 2.0), abs=1e-3)


# What values mean


def test_every_slice_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    def change(number: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = [(1, 0), (1, -1024), (0.25, 0), (2.5, -7.25)][number]

    volume = read_volume([changed(tmp_path / "a", change)])
    scales = np.array([(1, 0), (1, -1024), (0.25, 0), (2.5, -7.25)])[:, :, None, None]
    np.testing.assert_array_equal(volume.voxels[0], STORED * scales[:, 0] + scales[:, 1])


def test_whole_values_stay_whole_and_fit_their_type(tmp_path: Path) -> None:
    def change(number: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = [(1, -1024), (20, 0), (1, 39), (1, 0)][number]

    volume = read_volume([changed(tmp_path / "a", change)])
    assert volume.voxels.dtype == np.int32
    scales = np.array([(1, -1024), (20, 0), (1, 39), (1, 0)])[:, :, None, None]
    np.testing.assert_array_equal(volume.voxels[0], STORED * scales[:, 0] + scales[:, 1])


def test_an_image_to_be_shown_inverted_has_the_values_that_it_says(tmp_path: Path) -> None:
    def change(_: int, dataset: Dataset) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    np.testing.assert_array_equal(read_volume([changed(tmp_path / "a", change)]).voxels[0], STORED - 1024.0)


@pytest.mark.parametrize("signed", [False, True])
def test_only_the_bits_in_use_count(tmp_path: Path, signed: bool) -> None:
    """Twelve of sixteen; an overlay lies in the others."""
    values = VOXELS if signed else STORED.astype(np.int16)

    def change(_: int, dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)

    path = changed(tmp_path / "a", change, (values & 0x0FFF | 0x1000).astype(np.uint16))
    np.testing.assert_array_equal(read_volume([path]).voxels[0], values - 1024.0)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_slices_are_read(tmp_path: Path, syntax: UID) -> None:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (4, 64, 72)).astype(np.int16)
    files = write_series(tmp_path, Geometry(voxels.shape, np.eye(4)), voxels=voxels)
    if syntax == RLELossless:
        for path in files:
            dataset = pydicom.dcmread(path)
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(path)
    else:
        gdcm_compress(files, syntax)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], voxels)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_damaged_compressed_slices_do_not_end_the_process(tmp_path: Path, syntax: UID) -> None:
    """As gdcm does at some of these."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, (2, 64, 72)).astype(np.int16)
    files = write_series(tmp_path, Geometry(voxels.shape, np.eye(4)), voxels=voxels)
    gdcm_compress(files, syntax)
    content = files[0].read_bytes()
    start = content.rfind(b"\xe0\x7f\x10\x00")
    for seed in range(5):
        chance, changed = random.Random(seed), bytearray(content)
        for _ in range(3):
            changed[chance.randrange(start, start + 200)] = chance.randrange(256)
        files[0].write_bytes(changed)
        with contextlib.suppress(InputError):
            read_volume([tmp_path])


def gdcm_compress(paths: list[Path], syntax: UID) -> None:
    gdcm = pytest.importorskip("gdcm")
    kinds = {JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless, JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless}
    for path in paths:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()


def test_deflated_slices_are_read_where_there_is_room_for_what_they_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in write_series(tmp_path, STRAIGHT):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], VOXELS)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100_000}))
    refused(tmp_path, "GB of memory", "1.2.3-001.dcm")


# What the files do not say


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("PixelSpacing", "how large their pixels are"),
        ("ImagePositionPatient", "where their slices lie"),
        ("ImageOrientationPatient", "where their slices lie"),
    ],
)
def test_what_is_not_said_is_not_guessed(tmp_path: Path, tag: str, words: str) -> None:
    refused(changed(tmp_path / "all", lambda _, dataset: delattr(dataset, tag)), words)

    def change(number: int, dataset: Dataset) -> None:
        if number == 2:
            delattr(dataset, tag)

    refused(changed(tmp_path / "one", change), words)


@pytest.mark.parametrize("spacing", [[0, 1], [-1, 1], [1, "nan"], [1, "inf"], [1e-30, 1e-30], [1]])
def test_impossible_pixel_sizes_are_refused(tmp_path: Path, spacing: list[float]) -> None:
    def change(_: int, dataset: Dataset) -> None:
        dataset.PixelSpacing = spacing

    refused(changed(tmp_path / "a", change), str(tmp_path))


def test_slices_of_several_pixel_sizes_are_refused(tmp_path: Path) -> None:
    def change(number: int, dataset: Dataset) -> None:
        dataset.PixelSpacing = [1.25, 0.8 + 0.1 * (number == 3)]

    refused(changed(tmp_path / "a", change), "several sizes")


def test_slices_that_are_not_parallel_are_refused(tmp_path: Path) -> None:
    def change(number: int, dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if number == 2 else [1, 0, 0, 0, 1, 0]

    refused(changed(tmp_path / "a", change), "not parallel")


# Which files belong together


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

"""DICOM folders: every slice's own values, in the right place, or one sentence without the patient's data."""

# mypy: allow-untyped-calls

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from pydicom.dataset import Dataset
from support.dicom_series import STORED, STRAIGHT, long_series, right_handed, save, slices_of, write_series
from support.geometries import geometries, oblique, world
from support.images import VOXELS, refused

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

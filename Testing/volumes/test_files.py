"""Files in and out, as users have them: whole, damaged, oblique, left-handed, anisotropic."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from support.geometries import SHAPE, geometries, labels_with_gaps, oblique, world
from support.images import FORMATS, VOXELS, edited, image_on, nifti, refused, set_field, stored_matrix, written
from support.paths import DATA

from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import Geometry

# mypy: allow-untyped-calls


# Reading: voxels and where they lie


@settings(max_examples=8, deadline=None)
@given(geometry=geometries())
def test_every_format_puts_every_voxel_where_itk_and_nibabel_put_it(
    tmp_path_factory: pytest.TempPathFactory, geometry: Geometry
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    for suffix in FORMATS:
        path = written(folder, f"image{suffix}", geometry)
        volume = read_volume([path])
        assert volume.voxels.dtype == np.int16
        np.testing.assert_array_equal(volume.voxels, VOXELS[np.newaxis])
        for index in ((0, 0, 0), (5, 4, 3), (1, 2, 3)):
            lps = np.array(sitk.ReadImage(path).TransformIndexToPhysicalPoint(index))
            np.testing.assert_allclose(world(volume.geometry, *index), lps * (-1, -1, 1), atol=1e-3)
        if ".nii" in suffix:
            np.testing.assert_allclose(volume.geometry.ijk_to_ras, stored_matrix(path), atol=1e-3)


def test_left_handed_grids_stay_left_handed(tmp_path: Path) -> None:
    for suffix in FORMATS:
        volume = read_volume([written(tmp_path, f"image{suffix}")])
        assert np.linalg.det(volume.geometry.direction_lps) == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_voxels_keep_their_type_and_values(tmp_path: Path, dtype: type) -> None:
    volume = read_volume([written(tmp_path, "image.nrrd", voxels=np.abs(VOXELS).astype(dtype))])
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.voxels[0], np.abs(VOXELS))


def test_channels_are_stacked_in_the_order_given(tmp_path: Path) -> None:
    first, second = written(tmp_path, "a.nii.gz"), written(tmp_path, "b.mha", voxels=VOXELS + 1)
    np.testing.assert_array_equal(read_volume([second, first]).voxels, np.stack([VOXELS + 1, VOXELS]))


def test_channels_on_other_grids_are_refused(tmp_path: Path) -> None:
    moved = oblique()
    moved.ijk_to_ras[0, 3] += 1
    paths = [written(tmp_path, "a.nii.gz"), written(tmp_path, "b.nii.gz", moved)]
    refused(paths, "b.nii.gz", "same grid as", "resample")
    refused([], "No image")


def test_reading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "image.mha")
    path.write_bytes(path.read_bytes()[:-9])
    refused(path, "cut off")
    os.write(2, b"still open")
    assert capfd.readouterr() == ("", "still open")


# Reading: bad input


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    refused(path, str(path), "does not exist")
    path.touch()
    refused(path, str(path), "is empty")
    path.write_text("These are minutes of a meeting, not an image.\n" * 30)
    refused(path, str(path), "not an image")


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG")
    refused(path, "unknown kind", ".nii.gz", ".nrrd", "DICOM folder")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float, compressed: bool) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 14, 16)).astype(np.int16)
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(noise), path, useCompression=compressed)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, str(path), "cut off")


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_without_its_data_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, f"image{suffix}")
    for data in set(tmp_path.iterdir()) - {path}:
        data.unlink()
    refused(path, "damaged")


def test_damaged_compressed_data_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 14, 16)).astype(np.int16)
    path = written(tmp_path, "image.nii.gz", Geometry(noise.shape, np.eye(4)), noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_2d_4d_slice_and_colour_images_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[0]), path)
    refused(path, "2D")
    sitk.WriteImage(sitk.JoinSeries([image_on(oblique())] * 3), path)
    refused(path, "4D")
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[:1]), path)
    refused(path, "single slice")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((*SHAPE, 3), np.uint8), isVector=True), path)
    refused(path, "3 values a voxel")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[1, 2, 3] = bad
    refused(written(tmp_path, "image.nii.gz", voxels=voxels), "NaN or infinite")


def test_zero_spacing_is_refused(tmp_path: Path) -> None:
    straight = Geometry.from_lps(SHAPE, (1, 2, 3), (0, 0, 0), np.eye(3))
    refused(edited(written(tmp_path, "a.nrrd", straight), b"(0,0,3)", b"(0,0,0)"), "a.nrrd", "spacing of zero")
    refused(edited(written(tmp_path, "a.mha", straight), b"= 1 2 3", b"= 1 2 0"), "a.mha", "spacing of zero")
    for value in (0, -1, np.nan):
        refused(nifti(tmp_path / "a.nii.gz", set_field("pixdim", value, 2)), "a.nii.gz", "spacing of zero")


def test_singular_directions_are_refused(tmp_path: Path) -> None:
    straight = Geometry.from_lps(SHAPE, (1, 2, 3), (0, 0, 0), np.eye(3))
    refused(edited(written(tmp_path, "a.nrrd", straight), b"(0,0,3)", b"(0,3,0)"), "a.nrrd", "singular")
    refused(edited(written(tmp_path, "a.mha", straight), b"1 0 0 0 1 0 0 0 1", b"1 0 0 0 1 0 0 1 0"), "singular")
    refused(nifti(tmp_path / "a.nii.gz", set_field("srow_z", [0, 2, 0, 0])), "a.nii.gz", "singular")


def test_a_nifti_that_does_not_know_left_from_right_is_refused(tmp_path: Path) -> None:
    refused(nifti(tmp_path / "a.nii.gz", set_field("sform_code", 0)), "which side is left")


def test_a_nifti_that_claims_other_dimensions_than_it_holds_is_refused(tmp_path: Path) -> None:
    refused(nifti(tmp_path / "a.nii.gz", set_field("dim", 30000, 3)), "damaged")


# Writing


@settings(max_examples=8, deadline=None)
@given(geometry=geometries())
def test_label_maps_come_back_on_the_same_grid(tmp_path_factory: pytest.TempPathFactory, geometry: Geometry) -> None:
    folder = tmp_path_factory.mktemp("labels")
    label_map = labels_with_gaps(geometry)
    for suffix in (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd"):
        write_segmentation(label_map, folder / f"out{suffix}")
        volume = read_volume([folder / f"out{suffix}"])
        assert volume.voxels.dtype == np.uint8
        np.testing.assert_array_equal(volume.voxels[0], label_map.labels)
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, geometry.ijk_to_ras, atol=1e-3)


def sheared() -> Geometry:
    geometry = oblique()
    geometry.ijk_to_ras[:3, 2] += 0.5 * geometry.ijk_to_ras[:3, 0]
    return geometry


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".seg.nrrd"])
def test_a_sheared_grid_is_written_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_segmentation(labels_with_gaps(sheared()), path)
    np.testing.assert_allclose(stored_matrix(path), sheared().ijk_to_ras, atol=1e-3)


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.uint32)])
def test_labels_are_stored_in_the_smallest_type(tmp_path: Path, highest: int, dtype: type) -> None:
    label_map = labels_with_gaps(oblique())
    labels = np.minimum(label_map.labels.astype(np.uint32) * 1000, highest)
    for suffix in (".nii.gz", ".nrrd", ".seg.nrrd"):
        write_segmentation(type(label_map)(labels, label_map.geometry), tmp_path / f"out{suffix}")
        assert read_volume([tmp_path / f"out{suffix}"]).voxels.dtype == dtype


def test_a_nifti_says_the_same_in_qform_and_sform(tmp_path: Path) -> None:
    write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.nii.gz")
    header = nibabel.Nifti1Image.from_filename(tmp_path / "out.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
    assert (header["qform_code"], header["sform_code"], header.get_xyzt_units()[0]) == (1, 1, "mm")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real scans are not at {DATA}")
def test_a_real_scan_is_read_where_its_labels_lie() -> None:
    scan = read_volume([DATA / "torso_ct_3mm.nii.gz"])
    labels = read_volume([DATA / "torso_ct_3mm_labels.nii.gz"])
    assert scan.voxels.shape == labels.voxels.shape
    np.testing.assert_allclose(scan.geometry.ijk_to_ras, labels.geometry.ijk_to_ras, atol=1e-3)
    np.testing.assert_allclose(scan.geometry.ijk_to_ras, stored_matrix(DATA / "torso_ct_3mm.nii.gz"), atol=1e-3)
    liver = scan.voxels[labels.voxels == 5]
    assert 20 < np.median(liver) < 150, "Hounsfield units of a liver"

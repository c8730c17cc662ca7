"""Files in and out, as users have them: whole, damaged, oblique, left-handed, in places that cannot be written."""

import errno
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from support.geometries import SHAPE, geometries, labels_with_gaps, oblique, world
from support.paths import ROOT

from TuckerSegLib.errors import InputError, OutputError
from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.output import check_output, whole_file
from TuckerSegLib.volumes.volume import Geometry, Matrix

# mypy: allow-untyped-calls

FORMATS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
DATA = ROOT.parent / "shared" / "data"
VOXELS = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 50


def image_on(geometry: Geometry, voxels: np.ndarray = VOXELS) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps.ravel().tolist())
    return image


def written(folder: Path, name: str, geometry: Geometry | None = None, voxels: np.ndarray = VOXELS) -> Path:
    sitk.WriteImage(image_on(geometry or oblique(), voxels), folder / name)
    return folder / name


def refused(path: Path | list[Path], *words: str) -> None:
    """Reading must raise one line that holds each of the words."""
    with pytest.raises(InputError) as caught:
        read_volume(path if isinstance(path, list) else [path])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and "ITK" not in message


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


def edited(path: Path, old: bytes, new: bytes) -> Path:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    return path


def nifti(path: Path, change: Callable[[nibabel.Nifti1Header], None]) -> Path:
    header = nibabel.Nifti1Image(VOXELS.T, np.diag([1.0, 2.0, 3.0, 1.0])).header
    change(header)
    header["vox_offset"] = 352
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + VOXELS.tobytes()))
    return path


def set_field(name: str, value: object, where: object = ()) -> Callable[[nibabel.Nifti1Header], None]:
    return lambda header: header.structarr[name].__setitem__(where, value)


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


# Reading: DICOM


def write_series(
    folder: Path, geometry: Geometry, uid: str = "1.2.3", description: str = "Thorax", slices: list[int] | None = None
) -> None:
    """A CT series as a scanner stores it: stored values with slope 1 and intercept -1024, one file a slice."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = geometry.direction_lps
    orientation = "\\".join(f"{value:.9f}" for value in (*direction[:, 0], *direction[:, 1]))
    for number in range(geometry.shape[0]) if slices is None else slices:
        image = sitk.GetImageFromArray(VOXELS[number : number + 1])
        image.SetSpacing(geometry.spacing)
        position = world(geometry, 0, 0, number) * (-1, -1, 1)
        tags = {
            "0008|0060": "CT",
            "0008|103e": description,
            "0020|000d": "1.2",
            "0020|000e": uid,
            "0008|0018": f"{uid}.{number + 1}",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0020|0013": str(number),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": orientation,
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid}-{number:03}.dcm"))
        writer.Execute(image)


def right_handed(geometry: Geometry) -> Geometry:
    direction = geometry.direction_lps
    direction[:, 2] *= np.linalg.det(direction)
    return Geometry.from_lps(geometry.shape, geometry.spacing, geometry.origin_lps, direction)


@settings(max_examples=5, deadline=None)
@given(geometry=geometries())
def test_a_dicom_folder_is_read_in_hounsfield_units_where_its_slices_lie(
    tmp_path_factory: pytest.TempPathFactory, geometry: Geometry
) -> None:
    folder = tmp_path_factory.mktemp("dicom")
    expected = right_handed(geometry)
    write_series(folder, expected)
    volume = read_volume([folder])
    np.testing.assert_array_equal(volume.voxels[0], VOXELS)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected.ijk_to_ras, atol=1e-3)


def test_files_beside_the_slices_do_not_matter(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()))
    write_series(tmp_path, right_handed(oblique()), uid="1.2.9", description="Scout", slices=[0])
    (tmp_path / "README.txt").write_text("Not DICOM.")
    assert read_volume([tmp_path]).voxels.shape == (1, *SHAPE)


def test_a_folder_with_two_series_is_refused_naming_both(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()))
    write_series(tmp_path, right_handed(oblique()), uid="1.2.4", description="Abdomen")
    refused(tmp_path, "2 volumes", "CT Thorax (4 slices)", "CT Abdomen (4 slices)")


def test_a_folder_without_a_volume_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no DICOM images")
    (tmp_path / "notes.txt").write_text("Not DICOM.")
    refused(tmp_path, "no DICOM images")
    write_series(tmp_path, right_handed(oblique()), slices=[2])
    refused(tmp_path, "no volume, only CT Thorax (1 slice)")


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()), slices=[0, 1, 3])
    refused(tmp_path, "CT Thorax (3 slices)", "not evenly spaced")


def test_two_phases_in_one_series_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", right_handed(oblique()))
    for path in list((tmp_path / "a").iterdir()):
        (tmp_path / "a" / f"again-{path.name}").write_bytes(path.read_bytes())
    refused(tmp_path / "a", "lie on each other")


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    tilted = right_handed(oblique())
    tilted.ijk_to_ras[:3, 2] += 0.3 * tilted.ijk_to_ras[:3, 1]
    write_series(tmp_path, tilted)
    refused(tmp_path, "tilted gantry")


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_truncated_slice_is_refused_even_at_the_end(tmp_path: Path, number: int) -> None:
    write_series(tmp_path, right_handed(oblique()))
    path = tmp_path / f"1.2.3-{number:03}.dcm"
    path.write_bytes(path.read_bytes()[:-30])
    refused(tmp_path, "damaged", path.name)


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


def stored_matrix(path: Path) -> Matrix:
    if ".nii" in path.name:
        matrix: Matrix = nibabel.Nifti1Image.from_filename(path).affine
        return matrix
    return read_volume([path]).geometry.ijk_to_ras


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


# Places that cannot be written


@pytest.mark.parametrize("name", ["out.nii.gz", "out.seg.nrrd", "OUT.NII.GZ", "out.mha"])
def test_a_place_that_can_be_written_is_left_untouched_by_the_check(tmp_path: Path, name: str) -> None:
    check_output(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_refused_before_the_run(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none" / "out.nii.gz", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "out.stl", ".seg.nrrd, .nii.gz"),
        (Path("/proc/out.nii.gz"), "cannot be written"),
    ):
        with pytest.raises(OutputError, match=words):
            check_output(path)
        with pytest.raises(OutputError):
            write_segmentation(labels_with_gaps(oblique()), path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(tmp_path / "out.nii.gz")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from TuckerSegLib.errors import OutputError
from TuckerSegLib.volumes.files import write_segmentation
from TuckerSegLib.volumes.volume import Geometry, LabelMap
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
labels = np.random.default_rng(0).integers(0, 200, (40, 40, 40)).astype(np.uint8)
for name in sys.argv[1:]:
    try:
        write_segmentation(LabelMap(labels, Geometry(labels.shape, np.eye(4))), Path(name))
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as Unix does")
def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"out{suffix}" for suffix in (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd")]
    for path in paths:
        path.write_text("yesterday's result")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *map(str, paths)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    assert all(str(path) in line and "disk" in line for path, line in zip(paths, lines, strict=True))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"yesterday's result"}
    assert set(tmp_path.iterdir()) == set(paths)
    assert done.stderr == ""


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_whatever_stops_the_writing_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def half(image: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(nibabel, "save", half)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_result_gets_the_permissions_of_the_users_other_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.seg.nrrd")
    assert (tmp_path / "out.seg.nrrd").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real scans are not at {DATA}")
def test_a_real_scan_is_read_where_its_labels_lie() -> None:
    scan = read_volume([DATA / "torso_ct_3mm.nii.gz"])
    labels = read_volume([DATA / "torso_ct_3mm_labels.nii.gz"])
    assert scan.voxels.shape == labels.voxels.shape
    np.testing.assert_allclose(scan.geometry.ijk_to_ras, labels.geometry.ijk_to_ras, atol=1e-3)
    np.testing.assert_allclose(scan.geometry.ijk_to_ras, stored_matrix(DATA / "torso_ct_3mm.nii.gz"), atol=1e-3)
    liver = scan.voxels[labels.voxels == 5]
    assert 20 < np.median(liver) < 150, "Hounsfield units of a liver"


def test_so_does_a_file_whose_writer_made_it_private(tmp_path: Path) -> None:
    """As safetensors does."""
    (tmp_path / "other").touch()

    with whole_file(tmp_path / "model.tuckerseg") as partial:
        partial.write_bytes(b"weights")
        partial.chmod(0o600)

    assert (tmp_path / "model.tuckerseg").stat().st_mode == (tmp_path / "other").stat().st_mode

"""Places that results go to: what keeps them from being written is said before the run, and nothing is half there."""

# mypy: allow-untyped-calls

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
from support.dicom_series import right_handed, write_series
from support.geometries import labels_with_gaps, oblique
from support.images import written
from support.paths import ROOT

from TuckerSegLib.errors import InputError, OutputError
from TuckerSegLib.volumes.files import check_output, read_volume, write_segmentation
from TuckerSegLib.volumes.output import whole_file


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
from TuckerSegLib.errors import InputError, OutputError
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


def test_so_does_a_file_whose_writer_made_it_private(tmp_path: Path) -> None:
    """As safetensors does."""
    (tmp_path / "other").touch()

    with whole_file(tmp_path / "model.tuckerseg") as partial:
        partial.write_bytes(b"weights")
        partial.chmod(0o600)

    assert (tmp_path / "model.tuckerseg").stat().st_mode == (tmp_path / "other").stat().st_mode


# What a run must not overwrite


def test_a_result_does_not_take_the_place_of_the_image(tmp_path: Path) -> None:
    image = written(tmp_path, "ct.nii.gz")
    (tmp_path / "soft.nii.gz").symlink_to(image)
    (tmp_path / "hard.nii.gz").hardlink_to(image)
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("ct.nii.gz", "soft.nii.gz", "hard.nii.gz", "link/ct.nii.gz"):
        with pytest.raises(OutputError, match="would overwrite the image"):
            check_output(tmp_path / name, [image])
    check_output(tmp_path / "other.nii.gz", [image])
    check_output(tmp_path / "ct.seg.nrrd", [image])


def test_nor_that_of_a_file_which_the_image_consists_of(tmp_path: Path) -> None:
    header = written(tmp_path, "ct.mhd")
    data = next(path for path in tmp_path.iterdir() if path != header)
    data.rename(tmp_path / "ct.mha")
    header.write_bytes(header.read_bytes().replace(data.name.encode(), b"ct.mha"))
    with pytest.raises(OutputError, match="would overwrite"):
        check_output(tmp_path / "ct.mha", [header])

    first = write_series(tmp_path / "dicom", right_handed(oblique()))[0]
    first.rename(first.with_suffix(".nrrd"))
    with pytest.raises(OutputError, match="would overwrite"):
        check_output(first.with_suffix(".nrrd"), [tmp_path / "dicom"])
    check_output(tmp_path / "dicom" / "out.nrrd", [tmp_path / "dicom"])


# Names and modes


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".mha"])
def test_the_longest_name_that_the_disk_allows_can_be_written(tmp_path: Path, suffix: str) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    path = tmp_path / ("n" * (longest - len(suffix)) + suffix)
    check_output(path)
    write_segmentation(labels_with_gaps(oblique()), path)
    assert read_volume([path]).voxels.max() == 117


def test_a_longer_name_is_refused_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".nii.gz")
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(path)
    with pytest.raises(OutputError, match="cannot be written"):
        write_segmentation(labels_with_gaps(oblique()), path)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are Unix's")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_result_that_replaces_another_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out.nii.gz"
    path.touch()
    path.chmod(mode)
    with whole_file(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0, "nobody may read it meanwhile who may not later"
        temporary.write_bytes(b"labels")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="modes are Unix's")
@pytest.mark.parametrize("umask", [0o077, 0o027, 0o002])
def test_a_new_result_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.nii.gz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.nii.gz").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EINVAL])
def test_a_file_system_without_modes_or_fsync_gets_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("chmod", "fsync", "chown"):
        monkeypatch.setattr(os, name, unsupported)
    write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.nii.gz")
    assert read_volume([tmp_path / "out.nii.gz"]).voxels.max() == 117


@pytest.mark.skipif(sys.platform == "win32", reason="makes a named pipe")
def test_a_pipe_is_no_place_for_a_result(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.nii.gz")
    with pytest.raises(OutputError, match="pipe"):
        check_output(tmp_path / "out.nii.gz")


@pytest.mark.parametrize("reason", [errno.ENODEV, errno.ESTALE, errno.EIO, errno.ENOTCONN])
def test_a_drive_that_vanishes_is_one_sentence_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    image = written(tmp_path, "image.nii.gz")
    for name, call in (
        ("os.replace", lambda: write_segmentation(labels_with_gaps(oblique()), tmp_path / "out.nii.gz")),
        ("pathlib.Path.resolve", lambda: check_output(tmp_path / "out.nii.gz", [image])),
        ("pathlib.Path.exists", lambda: check_output(tmp_path / "out.nii.gz", [image])),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, gone)
            patch.setattr("pathlib.Path.unlink", gone)
            with pytest.raises(OutputError, match=os.strerror(reason)):
                call()
    for name in ("pathlib.Path.exists", "pathlib.Path.open", "os.stat"):
        with monkeypatch.context() as patch:
            patch.setattr(name, gone)
            with pytest.raises(InputError, match=os.strerror(reason)):
                read_volume([image])

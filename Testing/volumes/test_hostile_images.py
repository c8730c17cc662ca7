"""Image files from strangers: none ends the process, takes memory it has no use for, or names other files to read."""

# mypy: allow-untyped-calls

import gzip
import os
import sys
import time
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.geometries import SHAPE
from support.images import FORMATS, VOXELS, edited, nifti, refused, set_field, written

from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.formats import contents
from TuckerSegLib.volumes.volume import Geometry

# Headers from strangers

PROMISING_MUCH = {
    "nifti": (".nii.gz", b""),
    "nrrd": (
        ".nrrd",
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 1000 1000 1000\nspacings: 1 1 1\nendian: little\n"
        b"encoding: gzip\n\n" + gzip.compress(bytes(2000)),
    ),
    "meta": (
        ".mha",
        b"NDims = 3\nDimSize = 1290 1290 1290\nElementType = MET_SHORT\nCompressedData = True\n"
        b"ElementDataFile = LOCAL\n" + zlib.compress(bytes(2000)),
    ),
}


@pytest.mark.parametrize("kind", PROMISING_MUCH)
def test_a_small_file_that_promises_a_large_image_is_refused_before_memory_is_taken(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, content = PROMISING_MUCH[kind]
    path = tmp_path / f"a{suffix}"
    if content:
        path.write_bytes(content)
    else:
        nifti(path, set_field("dim", [3, 1000, 1000, 1000, 1, 1, 1, 1]))

    def allocate(*_: object) -> bytearray:
        raise AssertionError("memory was taken")

    monkeypatch.setattr(contents, "bytearray", allocate, raising=False)
    refused(path, "damaged")


def test_what_unpacks_to_far_more_than_was_promised_is_refused_in_seconds(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", lambda _: None)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(1 << 27), 9))
    start = time.monotonic()
    refused(path, "far more than its header says")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_larger_than_the_free_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = written(tmp_path, f"a{suffix}")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100}))
    refused(path, "GB of memory", "free")


HOSTILE = {
    "an NRRD line of 5 MB": ("a.nrrd", b"NRRD0004\n# " + b"x" * 5_000_000 + b"\ntype: short\n\n"),
    "100,000 NRRD keys": ("a.nrrd", b"NRRD0004\ntype: short\n" + b"".join(b"k%d:=v\n" % n for n in range(100_000))),
    "an NRRD without fields": ("a.nrrd", b"NRRD0004\n\n" + bytes(100)),
    "a line without a colon": ("a.nrrd", b"NRRD0004\ntype short\n\n" + bytes(100)),
    "negative sizes": ("a.nrrd", b"NRRD0004\ntype: short\ndimension: 3\nsizes: -4 5 6\nencoding: raw\n\n" + bytes(999)),
    "a million dimensions": ("a.mha", b"NDims = 1000000\nDimSize = 4 5 6\nElementDataFile = LOCAL\n" + bytes(999)),
    "no dimensions": ("a.mha", b"DimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(999)),
    "negative dimensions": (
        "a.mha",
        b"NDims = 3\nDimSize = -4 -5 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(999),
    ),
    "a format string": (
        "a.mhd",
        b"NDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = %s%n.raw 1 6 1\n",
    ),
    "a MetaImage line of 5 MB": ("a.mha", b"Comment = " + b"x" * 5_000_000 + b"\nNDims = 3\n"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_header_is_one_sentence_within_seconds(tmp_path: Path, kind: str) -> None:
    name, content = HOSTILE[kind]
    (tmp_path / name).write_bytes(content)
    start = time.monotonic()
    refused(tmp_path / name, name)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("where", [1e30, -5, np.nan, np.inf, 10, 1e6])
def test_a_nifti_whose_voxels_begin_outside_it_is_refused(tmp_path: Path, where: float) -> None:
    refused(nifti(tmp_path / "a.nii.gz", set_field("vox_offset", where)), "damaged")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../other/a.raw", "/dev/zero", "sub/a.raw", "", "link.raw", "pipe.raw"]
)
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
@pytest.mark.skipif(sys.platform == "win32", reason="makes a named pipe")
def test_a_header_takes_its_voxels_only_from_an_ordinary_file_beside_it(tmp_path: Path, suffix: str, name: str) -> None:
    for folder in ("here", "here/sub", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "here" / "link.raw").symlink_to(tmp_path / "other" / "a.raw")
    os.mkfifo(tmp_path / "here" / "pipe.raw")
    path = tmp_path / "here" / f"a{suffix}"
    if suffix == ".mhd":
        path.write_text(f"NDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\nElementDataFile = {name}\n")
    else:
        fields = "type: short\ndimension: 3\nsizes: 6 5 4\nspacings: 1 1 1\nendian: little\nencoding: raw\n"
        path.write_text(f"NRRD0004\n{fields}data file: {name}\n")
    refused(path)
    path.write_text(path.read_text().replace(f" {name}\n", " a.raw\n"))
    np.testing.assert_array_equal(read_volume([path]).voxels[0], VOXELS)


@pytest.mark.skipif(sys.platform == "win32", reason="makes a named pipe")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_pipe_is_no_image(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a{suffix}")
    refused(tmp_path / f"a{suffix}", "pipe")


# Geometry that is nonsense


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e38", "1e-30"])
def test_nonsense_spacings_and_positions_are_refused(tmp_path: Path, value: str) -> None:
    straight = Geometry.from_lps(SHAPE, (1, 2, 3), (7, 8, 9), np.eye(3))
    number = float(value)
    refused(edited(written(tmp_path, "a.nrrd", straight), b"(0,0,3)", f"(0,0,{value})".encode()), "a.nrrd")
    refused(edited(written(tmp_path, "a.mha", straight), b"= 1 2 3", f"= 1 2 {value}".encode()), "a.mha")
    refused(nifti(tmp_path / "a.nii.gz", set_field("pixdim", number, 3)), "a.nii.gz")
    refused(nifti(tmp_path / "a.nii.gz", set_field("srow_z", [0, 0, number, 0])), "a.nii.gz")
    if value != "1e-30":
        refused(edited(written(tmp_path, "a.nrrd", straight), b"(7,8,9)", f"(7,8,{value})".encode()), "a.nrrd")
        refused(edited(written(tmp_path, "a.mha", straight), b"= 7 8 9", f"= 7 8 {value}".encode()), "a.mha")
        refused(nifti(tmp_path / "a.nii.gz", set_field("srow_z", [0, 0, 3, number])), "a.nii.gz")


@pytest.mark.parametrize("field", ["quatern_b", "qoffset_x"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_nonsense_quaternions_are_refused(tmp_path: Path, field: str, value: float) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        header["sform_code"], header["qform_code"] = 0, 1
        header[field] = value

    refused(nifti(tmp_path / "a.nii.gz", change), "a.nii.gz")

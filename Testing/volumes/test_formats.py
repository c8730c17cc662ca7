"""NIfTI, NRRD and MetaImage files that mislead: every one is read rightly or refused in one sentence, in seconds."""

# mypy: allow-untyped-calls

import bz2
import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.dicom_series import right_handed, write_series
from support.geometries import SHAPE, labels_with_gaps, oblique, rotation, world
from support.images import (
    FORMATS,
    VOXELS,
    nifti,
    refused,
    set_field,
    written,
)
from support.paths import ROOT

from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import Geometry

STRAIGHT = Geometry.from_lps(SHAPE, (1.5, 1.25, 2.5), (-10.5, 20.25, 30.75), np.eye(3))


# Languages and names


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", [b"M\xc3\xbcller [1]", b"M\xfcller"], ids=["UTF-8", "not UTF-8"])
def test_any_file_name_can_be_read_and_written(tmp_path: Path, suffix: str, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes only UTF-8")
    written(tmp_path, f"image{suffix}")
    for path in tmp_path.glob("image*"):
        path.rename(folder / path.name)
    out = folder / os.fsdecode(name + (b".nii.gz" if ".nii" in suffix else b".seg.nrrd"))
    np.testing.assert_array_equal(read_volume([folder / f"image{suffix}"]).voxels[0], VOXELS)
    write_segmentation(labels_with_gaps(oblique()), out)
    assert read_volume([out]).voxels.max() == 117


WITHOUT_ITK = """
import sys
from pathlib import Path
sys.modules["SimpleITK"] = None
from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import LabelMap
for name in sys.argv[1:]:
    volume = read_volume([Path(name)])
for suffix in (".nii.gz", ".nrrd", ".mha", ".seg.nrrd"):
    write_segmentation(LabelMap(volume.voxels[0].astype("uint16"), volume.geometry, {}), Path(name + suffix))
"""


def test_no_file_name_is_given_to_itk(tmp_path: Path) -> None:
    """Under Windows it takes names in the ANSI code page, and opens no file in the folder of a user called Müller."""
    paths = [written(tmp_path, f"image{suffix}") for suffix in FORMATS]
    paths.append(write_series(tmp_path / "dicom", right_handed(oblique()))[0])
    done = subprocess.run([sys.executable, "-c", WITHOUT_ITK, *paths], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Hüfte links", "肝臓", "tumor [core]", "a:=b", "x\\ny", "two\nlines", "\udcfc"])
def test_names_in_any_language_reach_the_segmentation(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out.seg.nrrd"
    label_map = labels_with_gaps(oblique())
    write_segmentation(type(label_map)(label_map.labels, label_map.geometry, {1: name}), path)
    shown = sitk.ReadImage(path).GetMetaData("Segment0_Name")
    assert shown == name.replace("\udcfc", "?")
    np.testing.assert_array_equal(read_volume([path]).voxels[0], label_map.labels)


# NIfTI


@pytest.mark.parametrize(("qform", "sform"), [(q, s) for q, s in itertools.product(range(5), range(5)) if q or s])
@pytest.mark.parametrize("kind", ["equal", "turned", "sheared"])
def test_of_two_positions_the_one_that_itk_takes_is_taken(tmp_path: Path, qform: int, sform: int, kind: str) -> None:
    first = Geometry.from_lps(SHAPE, (0.8, 1.1, 3.0), (-120.5, 33.25, 810.0), rotation((0.9, 0.1, -0.3, 0.2)))
    turned = Geometry.from_lps(SHAPE, (0.8, 1.1, 3.0), (10, 20, 30), rotation((0.1, 0.5, -0.3, 0.2)))
    other = {"equal": first, "turned": turned, "sheared": first}[kind].ijk_to_ras.copy()
    if kind == "sheared":
        other[:3, 2] += 0.3 * other[:3, 0]
        other[:3, 2] *= 3.0 / np.linalg.norm(other[:3, 2])
    image = nibabel.Nifti1Image(VOXELS.T, None)
    image.header.set_zooms((0.8, 1.1, 3.0))
    image.header.set_qform(first.ijk_to_ras, code=qform)
    image.header.set_sform(other, code=sform)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    try:
        itk = sitk.ReadImage(tmp_path / "a.nii")
    except RuntimeError:
        refused(tmp_path / "a.nii", "not perpendicular")
        return
    ours = read_volume([tmp_path / "a.nii"]).geometry
    for index in ((0, 0, 0), (5, 4, 3)):
        lps = np.array(itk.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(world(ours, *index), lps * (-1, -1, 1), atol=1e-3)


def test_two_spacings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        header["pixdim"][1:4] = 1
        header["qform_code"] = 0

    refused(nifti(tmp_path / "a.nii.gz", change), "two voxel spacings", "1 x 1 x 1", "1 x 2 x 3")


@pytest.mark.parametrize(("unit", "millimetres"), [(1, 1000.0), (2, 1.0), (3, 0.001)])
def test_spacings_in_other_units_become_millimetres(tmp_path: Path, unit: int, millimetres: float) -> None:
    read = read_volume([nifti(tmp_path / "a.nii.gz", set_field("xyzt_units", unit))])
    np.testing.assert_allclose(read.geometry.spacing, np.array([1, 2, 3]) * millimetres, rtol=1e-6)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    matrix = oblique().ijk_to_ras
    for name, dtype in (("a.nii.gz", np.int16), ("b.nii", np.float32)):
        nibabel.save(nibabel.Nifti2Image(VOXELS.T.astype(dtype), matrix), tmp_path / name)
        volume = read_volume([tmp_path / name])
        np.testing.assert_array_equal(volume.voxels[0], VOXELS)
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, matrix, atol=1e-3)


def test_a_nifti_is_packed_or_not_whatever_its_name(tmp_path: Path) -> None:
    packed, plain = written(tmp_path, "a.nii.gz"), written(tmp_path, "b.nii")
    packed.rename(tmp_path / "c.nii")
    plain.rename(tmp_path / "d.nii.gz")
    for name in ("c.nii", "d.nii.gz"):
        np.testing.assert_array_equal(read_volume([tmp_path / name]).voxels[0], VOXELS)


def test_a_gzip_file_of_several_members_is_read_whole(tmp_path: Path) -> None:
    content = gzip.decompress(written(tmp_path, "a.nii.gz").read_bytes())
    parts = [content[:100], content[100:400], content[400:]]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    np.testing.assert_array_equal(read_volume([tmp_path / "a.nii.gz"]).voxels[0], VOXELS)


def test_an_analyze_header_is_called_what_it_is(tmp_path: Path) -> None:
    refused(nifti(tmp_path / "a.nii.gz", set_field("magic", b"ni1")), "header without voxels")


def test_scaled_voxels_are_what_nibabel_makes_of_them(tmp_path: Path) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        header["scl_slope"], header["scl_inter"] = 0.1, -1024

    path = nifti(tmp_path / "a.nii.gz", change)
    np.testing.assert_array_equal(read_volume([path]).voxels[0], nibabel.Nifti1Image.from_filename(path).get_fdata().T)


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_numbers_of_every_type_and_byte_order_are_read(tmp_path: Path, endian: str, dtype: str) -> None:
    voxels = np.abs(VOXELS).astype(endian + dtype)
    nibabel.save(nibabel.Nifti1Image(voxels.T, np.eye(4)), tmp_path / "a.nii.gz")
    order = "True" if endian == ">" else "False"
    kind = {"u1": "UCHAR", "i1": "CHAR", "i2": "SHORT", "u2": "USHORT", "i4": "INT", "u4": "UINT"}
    met = kind.get(dtype, "FLOAT" if dtype == "f4" else "DOUBLE")
    meta = (
        f"NDims = 3\nElementByteOrderMSB = {order}\nDimSize = 6 5 4\nElementType = MET_{met}\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(meta.encode() + voxels.tobytes())
    name = {"u1": "uchar", "i1": "int8", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint32"}
    nrrd = name.get(dtype, "float" if dtype == "f4" else "double")
    words = "big" if endian == ">" else "little"
    lines = f"NRRD0004\ntype: {nrrd}\ndimension: 3\nsizes: 6 5 4\nspacings: 1 1 1\nendian: {words}\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(lines.encode() + voxels.tobytes())
    for suffix in (".nii.gz", ".mha", ".nrrd"):
        read = read_volume([tmp_path / f"a{suffix}"]).voxels[0]
        assert read.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(read, np.abs(VOXELS))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"a{suffix}")), read)


# NRRD


@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "RAS"]
)
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text"])
def test_every_space_and_encoding_of_nrrd_is_read_as_itk_reads_it(tmp_path: Path, space: str, encoding: str) -> None:
    text = " ".join(map(str, VOXELS.ravel())).encode()
    stored = {"raw": VOXELS.tobytes(), "gzip": gzip.compress(VOXELS.tobytes()), "bzip2": bz2.compress(VOXELS.tobytes())}
    fields = (
        f"type: short\ndimension: 3\nspace: {space}\nsizes: 6 5 4\nspace directions: (0,1.5,0) (0,0,-2) (3,0.5,0)\n"
    )
    header = f"NRRD0004\n{fields}endian: little\nencoding: {encoding}\nspace origin: (1,2,3)\n\n".encode()
    path = tmp_path / "a.nrrd"
    path.write_bytes(header + stored.get(encoding, text))
    volume = read_volume([path])
    np.testing.assert_array_equal(volume.voxels[0], VOXELS)
    if encoding == "bzip2":
        return  # which ITK was built without
    itk = sitk.ReadImage(path)
    for index in ((0, 0, 0), (5, 0, 0), (0, 4, 0)):
        lps = np.array(itk.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(world(volume.geometry, *index), lps * (-1, -1, 1), atol=1e-3)


def test_a_detached_nrrd_may_skip_lines_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"a line\nanother\n12345" + VOXELS.tobytes())
    fields = (
        "type: short\ndimension: 3\nsizes: 6 5 4\nspacings: 1 2 3\nendian: little\nencoding: raw\ndata file: a.raw\n"
    )
    for skip in ("line skip: 2\nbyte skip: 5\n", "byte skip: -1\n"):
        (tmp_path / "a.nhdr").write_text(f"NRRD0004\n{fields}{skip}")
        volume = read_volume([tmp_path / "a.nhdr"])
        np.testing.assert_array_equal(volume.voxels[0], VOXELS)
        assert volume.geometry.spacing == (1, 2, 3)

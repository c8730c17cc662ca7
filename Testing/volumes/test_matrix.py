"""Every format with every type on every grid in two languages: as independent readers see it, in and out."""

# mypy: allow-untyped-calls

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from support.dicom_series import right_handed, save, slices_of
from support.geometries import SHAPE, oblique, rotation
from support.images import FORMATS, image_on
from support.languages import IN_GERMAN, german
from support.paths import ROOT

from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import Geometry, LabelMap

Array = np.ndarray[Any, Any]

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")

DICOM_TYPES = ("u1", "u2", "i2")

HIGHEST_LABELS = (1, 255, 256, 65535)

OUTPUTS = (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd")


def grid(direction: Array, spacing: tuple[float, float, float] = (0.75, 1.1, 2.5)) -> Geometry:
    return Geometry.from_lps(SHAPE, spacing, (-120.5, 33.25, 810.125), direction)


GRIDS = {
    "straight": grid(np.eye(3)),
    "isotropic": grid(np.eye(3), (1.0, 1.0, 1.0)),
    "thick": grid(np.eye(3), (0.5, 0.5, 12.5)),
    "flipped": grid(np.diag([-1.0, -1.0, 1.0])),
    "sagittal": grid(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])),
    "coronal": grid(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])),
    "oblique": grid(rotation((0.4, 0.6, -0.3, 0.5))),
    "left-handed": oblique(),
}


def values(kind: str) -> Array:
    """(K, J, I): all that a type can hold, its ends first."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        found = np.linspace(-1500.25, 3071.6, int(np.prod(SHAPE)), dtype=dtype)
    else:
        ends = np.iinfo(dtype)
        found = np.linspace(ends.min, ends.max, int(np.prod(SHAPE))).astype(np.int64).clip(ends.min, ends.max)
    return found.astype(dtype).reshape(SHAPE)


def images(folder: Path, suffix: str) -> Iterator[tuple[Path, Array, Geometry]]:
    """Files written by nibabel, ITK and pydicom, with their voxels (K, J, I) and where these lie."""
    for name, geometry in GRIDS.items():
        for kind in TYPES if suffix != "dicom" else DICOM_TYPES:
            path = folder / f"{name}-{kind}{suffix}"
            if suffix == "dicom":
                geometry = right_handed(geometry)
                save(slices_of(geometry, values(kind)), path)
                yield path, values(kind).astype(np.int64) - 1024, geometry
            elif ".nii" in suffix:
                image = nibabel.Nifti1Image(values(kind).T, geometry.ijk_to_ras)
                image.header.set_slope_inter(1, 0)
                image.to_filename(path)
                yield path, values(kind), geometry
            else:
                sitk.WriteImage(image_on(geometry, values(kind)), path)
                yield path, values(kind), geometry


def check_seen(path: Path, expected: Array, geometry: Geometry) -> None:
    """An independent reader must see these voxels (K, J, I) there."""
    if path.name.endswith((".nii", ".nii.gz")):
        image = nibabel.load(path)
        assert isinstance(image, nibabel.Nifti1Image)
        np.testing.assert_array_equal(np.asanyarray(image.dataobj).T, expected)
        np.testing.assert_allclose(image.affine, geometry.ijk_to_ras, atol=1e-4)
        return
    name = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)) if path.is_dir() else str(path)
    read = sitk.ReadImage(name)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), expected)
    np.testing.assert_allclose(read.GetSpacing(), geometry.spacing, atol=1e-4)
    np.testing.assert_allclose(read.GetOrigin(), geometry.origin_lps, atol=1e-4)
    np.testing.assert_allclose(read.GetDirection(), geometry.direction_lps.ravel(), atol=1e-5)


@pytest.mark.parametrize("suffix", [*FORMATS, "dicom"])
def test_every_image_is_read_as_others_read_it(tmp_path: Path, suffix: str) -> None:
    for path, expected, geometry in images(tmp_path, suffix):
        check_seen(path, expected, geometry)
        volume = read_volume([path])
        np.testing.assert_array_equal(volume.voxels[0], expected, str(path))
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, geometry.ijk_to_ras, atol=1e-4, err_msg=str(path))


def label_maps() -> Iterator[tuple[str, LabelMap]]:
    for name, geometry in GRIDS.items():
        for highest in HIGHEST_LABELS:
            labels = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3
            labels[labels == 2] = highest
            yield f"{name}-{highest}", LabelMap(labels.astype(np.uint16), geometry, {1: "liver", highest: "spleen"})


@pytest.mark.parametrize("suffix", OUTPUTS)
def test_every_label_map_is_seen_by_others_as_it_is(tmp_path: Path, suffix: str) -> None:
    for name, label_map in label_maps():
        write_segmentation(label_map, tmp_path / f"{name}{suffix}")
        check_seen(tmp_path / f"{name}{suffix}", label_map.labels, label_map.geometry)


READ_AND_WRITE = """
import hashlib, json, sys
from pathlib import Path
from TuckerSegLib.volumes.files import read_volume, write_segmentation
from TuckerSegLib.volumes.volume import LabelMap
for path in map(Path, json.loads(sys.stdin.read())):
    volume = read_volume([path])
    print(hashlib.sha256(volume.voxels.tobytes()).hexdigest(), *volume.geometry.ijk_to_ras.ravel())
    labels = (volume.voxels[0] > 0).astype("uint16")
    for suffix in sys.argv[1:] if "-i2" in path.name else ():
        write_segmentation(LabelMap(labels, volume.geometry, {1: "liver"}), path.parent / f"out-{path.name}{suffix}")
"""


def test_in_a_language_with_a_decimal_comma_nothing_else_is_read_or_written(tmp_path: Path) -> None:
    import hashlib
    import json

    environment = german(tmp_path)
    paths = [path for suffix in (*FORMATS, "dicom") for path, _, _ in images(tmp_path, suffix)]
    done = subprocess.run(
        [sys.executable, "-c", IN_GERMAN + READ_AND_WRITE, *OUTPUTS],
        input=json.dumps([str(path) for path in paths]),
        env=environment,
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        here = read_volume([path])
        digest, *matrix = line.split()
        assert digest == hashlib.sha256(here.voxels.tobytes()).hexdigest(), path
        np.testing.assert_array_equal(np.array(matrix, float), here.geometry.ijk_to_ras.ravel())
        for suffix in OUTPUTS if "-i2" in path.name else ():
            written = path.parent / f"out-{path.name}{suffix}"
            check_seen(written, here.voxels[0] > 0, here.geometry)


def test_every_series_becomes_a_dicom_segmentation_of_its_voxels(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    from highdicom.seg import segread

    from TuckerSegLib.volumes.dicom.results.segmentation import write_dicom_segmentation

    for path, _, geometry in images(tmp_path, "dicom"):
        labels = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint8) % 3
        label_map = LabelMap(labels, read_volume([path]).geometry, {1: "liver", 2: "spleen"})
        write_dicom_segmentation(label_map, [path], tmp_path / "out.dcm", {})
        volume = segread(tmp_path / "out.dcm").get_volume(combine_segments=True)
        back = volume.match_geometry(_as_highdicom(geometry, pydicom.dcmread(next(path.iterdir()))))
        np.testing.assert_array_equal(back.array, labels)


def _as_highdicom(geometry: Geometry, image: pydicom.Dataset) -> Any:
    from highdicom import VolumeGeometry

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.ijk_to_ras[:, [2, 1, 0, 3]]
    return VolumeGeometry(lps, geometry.shape, "PATIENT", frame_of_reference_uid=image.FrameOfReferenceUID)

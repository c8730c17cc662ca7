"""Compressed DICOM: the same values as uncompressed, and damage that ends no process."""

# mypy: allow-untyped-calls

import contextlib
import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from support.dicom_series import STRAIGHT, write_series
from support.images import VOXELS, refused

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLossless, JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless])
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


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless])
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
    kinds = {
        JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
        JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
        JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    }
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


def test_a_compression_that_nothing_here_unpacks_is_named(tmp_path: Path) -> None:
    for path in write_series(tmp_path, STRAIGHT):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.save_as(path, enforce_file_format=True)
    refused(tmp_path, "compressed as High-Throughput JPEG 2000", "export it uncompressed")

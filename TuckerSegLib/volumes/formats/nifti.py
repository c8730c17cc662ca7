"""NIfTI-1 and NIfTI-2 files.

ITK's reader takes a missing end for zeros, NaN for 0 and a spacing of 0 for 1. So nibabel reads the header, and the
position is chosen between qform and sform as ITK chooses it, for 3D Slicer and nnU-Net to see the same patient.

NIfTI's world is RAS millimetres and its arrays are (I, J, K), first axis fastest; here arrays are (K, J, I).
"""

# mypy: allow-untyped-calls

import math
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from nibabel.volumeutils import apply_read_scaling

from ...errors import InputError
from ..volume import Geometry, Matrix
from .contents import (
    DAMAGED,
    DeflateStream,
    Labels,
    Stream,
    Voxels,
    as_array,
    check_grey_volume,
    check_room,
    is_perpendicular,
    read_start,
    read_whole,
)

_GZIP = b"\x1f\x8b"

_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
"""The versions, each under the first number of its files, which is the header's length."""

_SCANNER = 1
"""The code of a position as the scanner gave it."""

_ORTHONORMAL = 1e-4

_SAME = 1e-5

_NO_SCALING = ((None, None), (1.0, 0.0))

_LONGEST_SIDE = 32767
"""Voxels along an axis that NIfTI-1 can count."""

_MAX_OFFSET = 1 << 26
"""Bytes of extensions before the voxels, of which a file may have some."""

_MILLIMETRES = {1: 1000.0, 3: 0.001}
"""How many a unit has, where spacings are in metres or micrometres."""

Header = Any


def read_nifti(path: Path) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I), scaled as the header says, and grid of a .nii or .nii.gz file, packed or not whatever its name.

    Raises:
        InputError: it is no whole 3D grey image, its spacing is zero, or its position is missing or contradicts itself.
        ValueError, EOFError, OSError, zlib.error, HeaderDataError: it is damaged.
    """
    with path.open("rb") as file:
        header = _header(path, read_start(_unpacked(file), max(_HEADERS)))
        size = _size(path, header)
        geometry = _geometry(path, header, size)
        dtype, offset, scaling = header.get_data_dtype(), _offset(path, header), header.get_slope_inter()
        end = offset + math.prod(size) * dtype.itemsize
        needed = end if scaling in _NO_SCALING else end + 8 * math.prod(size)
        check_room(path, path.stat().st_size, end, _is_packed(file), needed)
        stored = as_array(read_whole(path, _unpacked(file), end), dtype, size, offset)
    if scaling in _NO_SCALING:
        return stored, geometry
    return apply_read_scaling(stored, *map(np.float64, scaling)), geometry


def _is_packed(file: BinaryIO) -> bool:
    file.seek(0)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return packed


def _unpacked(file: BinaryIO) -> Stream:
    return DeflateStream(file) if _is_packed(file) else file


def _header(path: Path, start: bytes) -> Header:
    lengths = {int.from_bytes(start[:4], order) for order in ("little", "big")} & set(_HEADERS)
    if len(lengths) != 1 or len(start) < min(lengths):
        raise InputError(f"{path} {DAMAGED}.")
    kind = _HEADERS[lengths.pop()]
    header = kind(start[: kind.sizeof_hdr], check=False)
    if not bytes(header["magic"]).startswith(b"n+"):
        raise InputError(
            f"{path} is a header without voxels (Analyze, or half of a NIfTI pair): save it as one .nii.gz."
        )
    return header


def _size(path: Path, header: Header) -> tuple[int, int, int]:
    """(i, j, k); further axes of length 1 do not count, a fifth one would hold several values a voxel."""
    count, *sides = (int(side) for side in header["dim"])
    if not 1 <= count <= len(sides) or min(sides[:count]) < 1:
        raise InputError(f"{path} {DAMAGED}.")
    sides, dtype = sides[:count], header.get_data_dtype()
    components = len(dtype) if dtype.names else 1
    if count == 5 and sides[3] == 1:
        components *= sides.pop()
    while len(sides) > 3 and sides[-1] == 1:
        sides.pop()
    check_grey_volume(path, tuple(sides), components)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(f"{path} has voxels of the type {dtype}: convert them to ordinary numbers.")
    return sides[0], sides[1], sides[2]


def _offset(path: Path, header: Header) -> int:
    """Bytes before the first voxel."""
    offset = float(header["vox_offset"])
    if not header.sizeof_hdr <= offset < _MAX_OFFSET:
        raise InputError(f"{path} {DAMAGED}.")
    return int(offset)


def _geometry(path: Path, header: Header, size: tuple[int, int, int]) -> Geometry:
    if not (header["pixdim"][1:4] > 0).all():
        raise InputError(f"{path} has a voxel spacing of zero or none: correct its header or export it again.")
    if not header["sform_code"] and not header["qform_code"]:
        raise InputError(f"{path} does not say which side is left (no qform or sform): export it again from DICOM.")
    matrix = _chosen_position(path, header)
    spacing = np.asarray(header["pixdim"][1:4], np.float64)
    columns = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or (columns == 0).any():
        raise InputError(f"{path} has a position that is not finite or singular: export it again from its source.")
    if (np.abs(columns - spacing) * size > spacing / 2).any():
        raise InputError(
            f"{path} gives two voxel spacings, {_words(spacing)} (pixdim) and {_words(columns)} (sform): "
            "correct its header."
        )
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = matrix[:3, :3] / columns * spacing * unit
    ijk_to_ras[:3, 3] = matrix[:3, 3] * unit
    return Geometry((size[2], size[1], size[0]), ijk_to_ras)


def _chosen_position(path: Path, header: Header) -> Matrix:
    """(4, 4): as ITK does, the sform if it has no shear and is the only one or the scanner's; otherwise the qform."""
    sform: Matrix = header.get_sform()
    straight = _is_straight(sform)
    if header["sform_code"] and straight and (not header["qform_code"] or header["sform_code"] == _SCANNER):
        return sform
    if not header["qform_code"]:
        raise InputError(f"{path} has axes that are singular or not perpendicular: correct its header or resample it.")
    qform: Matrix = header.get_qform()
    return sform if header["sform_code"] and straight and np.allclose(sform, qform, atol=_SAME) else qform


def _is_straight(matrix: Matrix) -> bool:
    with np.errstate(all="ignore"):
        directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
        return bool(np.abs(directions @ directions.T - np.eye(3)).max() < _ORTHONORMAL)


def _words(spacing: Matrix) -> str:
    return " x ".join(f"{value:.4g}" for value in spacing)


def write_nifti(labels: Labels | Voxels, geometry: Geometry, path: Path) -> None:
    """Writes labels or voxels (K, J, I); qform and sform say the same, a sheared grid has only the sform.

    Raises:
        OSError: the file could not be written to its end.
    """
    kind = nibabel.Nifti1Image if max(labels.shape) <= _LONGEST_SIDE else nibabel.Nifti2Image
    image = kind(labels.transpose(2, 1, 0), geometry.ijk_to_ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(geometry.ijk_to_ras, code="scanner")
    image.set_qform(geometry.ijk_to_ras if is_perpendicular(geometry) else None, code="scanner")
    nibabel.save(image, path)

"""NRRD files, with the voxels inside or in a file beside the header.

Teem, which ITK and 3D Slicer read NRRD with, takes numbers in the language that the process runs in: under a German
one it reads a spacing of 1.5 as 1. Here pynrrd reads the header and Python writes it.

NRRD lists axes fastest first, (i, j, k); arrays are (K, J, I). Its space is LPS unless the header says otherwise.
"""

# mypy: allow-untyped-calls

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import nrrd
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..volume import RAS_TO_LPS, Geometry
from .contents import (
    COMPRESSION,
    DAMAGED,
    Bzip2Stream,
    DeflateStream,
    Labels,
    Stream,
    Voxels,
    as_array,
    check_grey_volume,
    check_room,
    file_beside,
    read_whole,
    regular_file,
)

_MAX_LINES, _MAX_HEADER = 20_000, 1 << 22
"""What a header may hold; one of a segmentation with 118 segments has about 1,100 lines and 200 kB."""

_TYPES = {
    "i1": ("int8", "int8_t", "signed char"),
    "u1": ("uint8", "uint8_t", "uchar", "unsigned char"),
    "i2": ("int16", "int16_t", "short", "short int", "signed short", "signed short int"),
    "u2": ("uint16", "uint16_t", "ushort", "unsigned short", "unsigned short int"),
    "i4": ("int32", "int32_t", "int", "signed int"),
    "u4": ("uint32", "uint32_t", "uint", "unsigned int"),
    "i8": ("int64", "int64_t", "longlong", "long long", "long long int", "signed long long", "signed long long int"),
    "u8": ("uint64", "uint64_t", "ulonglong", "unsigned long long", "unsigned long long int"),
    "f4": ("float",),
    "f8": ("double",),
}

_DTYPES = {name: dtype for dtype, names in _TYPES.items() for name in names}

_TO_LPS = {"left-posterior": (1, 1, 1), "right-anterior": (-1, -1, 1), "left-anterior": (1, -1, 1)}
"""Signs that take a space, named by its first two axes, to LPS."""

_INITIALS = {"LPS": "left-posterior", "RAS": "right-anterior", "LAS": "left-anterior"}

_SPATIAL = ("domain", "space", "???", "none")

_GZIP, _BZIP2, _TEXT = ("gzip", "gz"), ("bzip2", "bz2"), ("ascii", "text", "txt")

Header = Mapping[str, Any]


def read_nrrd(path: Path) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I) and grid of a .nrrd or .nhdr file.

    Raises:
        InputError: the file is no whole 3D grey image, or takes its voxels from elsewhere.
        ValueError, EOFError, OSError, zlib.error, nrrd.NRRDError: it is damaged.
    """
    with path.open("rb") as file:
        header = _header(path, file)
        sizes = tuple(int(size) for size in header["sizes"])
        spatial = _spatial_axes(header, len(sizes))
        shape = tuple(sizes[axis] for axis in spatial)
        check_grey_volume(path, shape, math.prod(sizes) // max(math.prod(shape), 1))
        geometry = _geometry(header, shape, spatial)
        name = data_file(header)
        if name is None:
            return _voxels(path, header, shape, file), geometry
    with file_beside(path, name).open("rb") as file:
        return _voxels(path, header, shape, file), geometry


def data_file(header: Header) -> str | None:
    """The file that holds the voxels of a detached header; none where they follow it.

    Raises:
        InputError: there are several.
    """
    name = header.get("data file", header.get("datafile"))
    if name is not None and (name.startswith("LIST") or "%" in name):
        raise InputError("The NRRD header spreads its voxels over several files: save the image as one.")
    return name


def read_header(path: Path) -> Header:
    """The fields of a .nrrd or .nhdr file, as pynrrd gives them.

    Raises:
        InputError: there is more of a header than any image has.
        ValueError, OSError, nrrd.NRRDError: it is damaged.
    """
    with regular_file(path).open("rb") as file:
        return _header(path, file)


def _header(path: Path, file: BinaryIO) -> Header:
    lines: list[bytes] = []
    length = 0
    while line := file.readline(_MAX_HEADER):
        length += len(line)
        lines.append(line)
        if not lines[0].startswith(b"NRRD"):
            raise InputError(f"{path} {DAMAGED}.")
        if len(lines) > _MAX_LINES or length >= _MAX_HEADER:
            raise InputError(f"{path} has a header too long for an image: export it again from its source.")
        if not line.strip():
            break
    header: Header = nrrd.read_header(lines)
    if not {"sizes", "type", "encoding"} <= set(header):
        raise InputError(f"{path} {DAMAGED}.")
    return header


def _spatial_axes(header: Header, count: int) -> list[int]:
    kinds = header.get("kinds") or ["domain"] * count
    return [axis for axis, kind in enumerate(kinds[:count]) if str(kind) in _SPATIAL]


def _geometry(header: Header, shape: tuple[int, ...], spatial: list[int]) -> Geometry:
    space = str(header.get("space", ""))
    name = _INITIALS.get(space[:3], space)
    signs = next((signs for words, signs in _TO_LPS.items() if name.startswith(words)), (1, 1, 1))
    ijk_to_lps = np.eye(4)
    if "space directions" in header:
        ijk_to_lps[:3, :3] = np.asarray(header["space directions"], float)[spatial].T
        ijk_to_lps[:3, 3] = np.asarray(header.get("space origin", (0, 0, 0)), float)
    else:
        spacings = np.asarray(header.get("spacings", np.ones(len(header["sizes"]))), float)[spatial]
        ijk_to_lps[:3, :3] = np.diag(np.where(np.isnan(spacings), 1.0, spacings))
    ijk_to_lps[:3] *= np.reshape(signs, (3, 1))
    return Geometry((shape[2], shape[1], shape[0]), RAS_TO_LPS @ ijk_to_lps)


def _voxels(path: Path, header: Header, shape: tuple[int, ...], file: BinaryIO) -> Voxels:
    dtype = _dtype(path, header)
    encoding = str(header["encoding"]).lower()
    for _ in range(int(header.get("line skip", header.get("lineskip", 0)))):
        file.readline(_MAX_HEADER)
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    count = math.prod(shape) * dtype.itemsize
    stored = path.stat().st_size if data_file(header) is None else Path(file.name).stat().st_size
    if encoding in _TEXT:
        return _text(path, file, dtype, shape)
    if encoding not in ("raw", *_GZIP, *_BZIP2):
        raise InputError(f"{path} packs its voxels as {encoding}, which is unknown here: save it with gzip.")
    if encoding not in _BZIP2:  # which has no bound on how much it packs into a byte
        check_room(path, stored, count, encoding in _GZIP)
    if encoding == "raw":
        file.seek(max(stored - count, 0)) if skip == -1 else file.seek(skip, 1)
    stream: Stream = DeflateStream(file) if encoding in _GZIP else Bzip2Stream(file) if encoding in _BZIP2 else file
    before = max(skip, 0) if encoding != "raw" else 0
    check_room(path, count + before, count + before, False)
    return as_array(read_whole(path, stream, before + count), dtype, shape, before)


def _dtype(path: Path, header: Header) -> np.dtype[np.generic]:
    name = " ".join(str(header["type"]).lower().split())
    if name not in _DTYPES:
        raise InputError(f"{path} has voxels of the type {name}, which are not intensities: convert the image to grey.")
    order = ">" if str(header.get("endian", "little")).lower() == "big" else "<"
    return np.dtype(order + _DTYPES[name])


def _text(path: Path, file: BinaryIO, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> Voxels:
    text = file.read()
    check_room(path, len(text), math.prod(shape), False, math.prod(shape) * 8)
    numbers: npt.NDArray[np.float64] = np.fromstring(text, np.float64, sep=" ")
    if numbers.size != math.prod(shape):
        raise InputError(f"{path} {DAMAGED}.")
    return numbers.astype(dtype.newbyteorder("=")).reshape(shape[::-1])


def write_nrrd(
    labels: Labels | Voxels, geometry: Geometry, path: Path, fields: Mapping[str, str] | None = None
) -> None:
    """Writes voxels (K, J, I), and `fields` as key/value pairs in UTF-8, as Slicer reads them.

    Raises:
        OSError: the file could not be written to its end.
    """
    matrix = RAS_TO_LPS @ geometry.ijk_to_ras
    native = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    lines = [
        "NRRD0005",
        f"type: {_TYPES[labels.dtype.str[1:]][0]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, labels.shape[::-1]))}",
        f"space directions: {' '.join(_vector(column) for column in matrix[:3, :3].T)}",
        "kinds: domain domain domain",
        *(["endian: little"] if labels.dtype.itemsize > 1 else []),
        "encoding: gzip",
        f"space origin: {_vector(matrix[:3, 3])}",
        *(f"{key}:={_escaped(value)}" for key, value in (fields or {}).items()),
    ]
    with path.open("wb") as file:
        file.write("\n".join(lines).encode("utf-8", "replace") + b"\n\n")
        packer = zlib.compressobj(COMPRESSION, zlib.DEFLATED, 31)
        for plane in native:
            file.write(packer.compress(np.ascontiguousarray(plane).data))
        file.write(packer.flush())


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\r", " ").replace("\n", "\\n")

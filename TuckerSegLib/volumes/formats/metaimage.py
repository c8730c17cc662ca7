"""MetaImage files, with the voxels inside (.mha) or in a file beside the header (.mhd).

ITK's reader believes the header: a million dimensions, or `%s%n` as the name of the data file, end the whole process.
A MetaImage's header is a few lines `key = value`, so it is read and checked here.

MetaImage lists axes fastest first, (i, j, k), in LPS millimetres; arrays are (K, J, I).
"""

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..volume import Geometry
from .contents import (
    COMPRESSION,
    DAMAGED,
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

_MAX_LINES, _MAX_LINE = 1000, 1 << 16

_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

_LOCAL = "LOCAL"

Header = Mapping[str, str]


def read_metaimage(path: Path) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I) and grid of a .mha or .mhd file.

    Raises:
        InputError: the file is no whole 3D grey image, or takes its voxels from elsewhere.
        ValueError, EOFError, OSError, zlib.error: it is damaged.
    """
    with path.open("rb") as file:
        header = _header(path, file)
        size = tuple(int(side) for side in header.get("DimSize", "").split())
        if len(size) != int(header.get("NDims", 0)):
            raise InputError(f"{path} {DAMAGED}.")
        check_grey_volume(path, size, int(header.get("ElementNumberOfChannels", 1)))
        geometry = _geometry(header, size)
        name = data_file(header)
        if name is None:
            return _voxels(path, header, size, file), geometry
    with file_beside(path, name).open("rb") as file:
        return _voxels(path, header, size, file), geometry


def data_file(header: Header) -> str | None:
    """The file that holds the voxels of a detached header; none where they follow it.

    Raises:
        InputError: there are several.
    """
    name = header["ElementDataFile"]
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise InputError("The MetaImage header spreads its voxels over several files: save the image as one.")
    return None if name.upper() == _LOCAL else name


def read_header(path: Path) -> Header:
    """The fields of a .mha or .mhd file.

    Raises:
        InputError: it is no MetaImage.
        OSError: it cannot be read.
    """
    with regular_file(path).open("rb") as file:
        return _header(path, file)


def _header(path: Path, file: BinaryIO) -> Header:
    """The fields up to the name of the data file, which is the last one."""
    header: dict[str, str] = {}
    for _ in range(_MAX_LINES):
        line = file.readline(_MAX_LINE)
        key, equals, value = line.decode("utf-8", "surrogateescape").partition("=")
        if not equals or not line.endswith(b"\n"):
            break
        header[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return header
    raise InputError(f"{path} {DAMAGED}.")


def _geometry(header: Header, size: tuple[int, ...]) -> Geometry:
    spacing = _numbers(header, ("ElementSpacing", "ElementSize"), "1 1 1")
    origin = _numbers(header, ("Offset", "Position", "Origin"), "0 0 0")
    axes = _numbers(header, ("TransformMatrix", "Rotation", "Orientation"), "1 0 0 0 1 0 0 0 1")
    return Geometry.from_lps((size[2], size[1], size[0]), spacing, origin, axes.reshape(3, 3).T)


def _numbers(header: Header, keys: tuple[str, ...], otherwise: str) -> npt.NDArray[np.float64]:
    text = next((header[key] for key in keys if key in header), otherwise)
    numbers = np.array([float(number) for number in text.split()])
    if numbers.size != len(otherwise.split()):
        raise ValueError(f"{keys[0]} has {numbers.size} numbers")
    return numbers


def _voxels(path: Path, header: Header, size: tuple[int, ...], file: BinaryIO) -> Voxels:
    kind = header.get("ElementType", "")
    if kind not in _DTYPES:
        raise InputError(f"{path} has voxels of the type {kind}, which are not intensities: convert the image to grey.")
    swapped = _is_true(header, "BinaryDataByteOrderMSB") or _is_true(header, "ElementByteOrderMSB")
    dtype = np.dtype((">" if swapped else "<") + _DTYPES[kind])
    count, stored = math.prod(size) * dtype.itemsize, Path(file.name).stat().st_size
    packed = _is_true(header, "CompressedData")
    if header.get("BinaryData", "True").lower() in ("false", "0"):
        raise InputError(f"{path} holds its voxels as text: save it as a binary MetaImage.")
    check_room(path, stored, count, packed)
    skip = int(header.get("HeaderSize", 0))
    if skip and not packed:
        file.seek(max(stored - count, 0) if skip == -1 else skip)
    stream: Stream = DeflateStream(file) if packed else file
    return as_array(read_whole(path, stream, count), dtype, size)


def _is_true(header: Header, key: str) -> bool:
    return header.get(key, "False").lower() in ("true", "1")


def write_metaimage(labels: Labels, geometry: Geometry, path: Path) -> None:
    """Writes voxels (K, J, I) as a compressed .mha.

    Raises:
        OSError: the file could not be written to its end.
    """
    native = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    packer = zlib.compressobj(COMPRESSION)
    packed = [packer.compress(np.ascontiguousarray(plane).data) for plane in native] + [packer.flush()]
    kind = next(kind for kind, dtype in _DTYPES.items() if dtype == labels.dtype.str[1:])
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(sum(map(len, packed))),
        "TransformMatrix": _words(geometry.direction_lps.T.ravel()),
        "Offset": _words(geometry.origin_lps),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": _words(geometry.spacing),
        "DimSize": " ".join(map(str, labels.shape[::-1])),
        "ElementType": kind,
        "ElementDataFile": _LOCAL,
    }
    with path.open("wb") as file:
        file.write("".join(f"{key} = {value}\n" for key, value in header.items()).encode())
        file.writelines(packed)


def _words(values: npt.ArrayLike) -> str:
    return " ".join(repr(float(value)) for value in np.asarray(values))

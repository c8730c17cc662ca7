"""The bytes behind an image: regular files only, and no more than the header promises and the memory holds.

Headers come from strangers. Before anything is allocated, the size that a header promises is compared with the size of
the file and with the memory that is free; what unpacks to more than was promised is refused.
"""

import bz2
import math
import stat
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import psutil

from ...errors import InputError
from ..volume import Geometry

Voxels = npt.NDArray[np.generic]

Labels = npt.NDArray[np.unsignedinteger]

DAMAGED = "is damaged, cut off or not an image: copy or export it again"

COMPRESSION = 3
"""zlib's level: label maps hardly shrink further above it, and take far longer."""

_PIECE = 1 << 20

DEFLATE_RATIO = 1032
"""Deflate cannot pack more bytes than this into one."""

_SURPLUS = 64 * _PIECE
"""Bytes after the last voxel that a file may hold; they are read for the checksum behind them, and not kept."""

_ZLIB_OR_GZIP = 47

_GZIP = b"\x1f\x8b"


class Stream(Protocol):
    """Whatever bytes can be read from, a piece at a time."""

    def read(self, count: int, /) -> bytes: ...


class DeflateStream:
    """A zlib or gzip stream, unpacked a piece at a time; the members of a gzip file follow each other."""

    def __init__(self, packed: Stream) -> None:
        self._packed = packed
        self._unpacker = zlib.decompressobj(_ZLIB_OR_GZIP)
        self._waiting = b""

    def read(self, count: int, /) -> bytes:
        """Some bytes, at most `count`; none at the end.

        Raises:
            EOFError: the stream was cut off.
            zlib.error: it is damaged.
        """
        while True:
            if self._unpacker.eof and not self._next_member():
                return b""
            waiting = self._waiting or self._packed.read(_PIECE)
            if not waiting:
                raise EOFError("the compressed data end too early")
            piece = self._unpacker.decompress(waiting, count)
            self._waiting = self._unpacker.unconsumed_tail
            if piece:
                return piece

    def _next_member(self) -> bool:
        rest = self._unpacker.unused_data
        rest += self._packed.read(_PIECE) if len(rest) < len(_GZIP) else b""
        if not rest.startswith(_GZIP):
            return False
        self._unpacker, self._waiting = zlib.decompressobj(_ZLIB_OR_GZIP), rest
        return True


class Bzip2Stream:
    """A bzip2 stream, unpacked a piece at a time."""

    def __init__(self, packed: BinaryIO) -> None:
        self._file = bz2.BZ2File(packed)

    def read(self, count: int, /) -> bytes:
        """Some bytes, at most `count`; none at the end.

        Raises:
            EOFError, OSError: the stream was cut off, or is damaged.
        """
        return self._file.read(count)


def regular_file(path: Path) -> Path:
    """`path`, if it is an ordinary file: a pipe would keep a reader waiting, a device may never end.

    Raises:
        InputError: it is something else, or empty.
        OSError: it is not there.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"{path} is a pipe, a device or the like: give an ordinary file.")
    if state.st_size == 0:
        raise InputError(f"{path} is empty: copy or export it again.")
    return path


def file_beside(header: Path, name: str) -> Path:
    """The data file that a header names; it has to lie in the header's own folder.

    Raises:
        InputError: it lies elsewhere, is missing, or is no ordinary file.
    """
    path = header.parent / name
    if not name or Path(name).name != name.removeprefix("./") or path.is_symlink():
        raise InputError(f"{header} takes its voxels from elsewhere: put its data file beside it and name that.")
    if not path.exists():
        raise InputError(f"{header} is damaged, its data file {path.name} is missing: copy both files.")
    return regular_file(path)


def check_grey_volume(path: Path, shape: tuple[int, ...], components: int) -> None:
    """
    Raises:
        InputError: the image at `path` is no 3D grey image with several slices.
    """
    if len(shape) != 3:
        raise InputError(f"{path} is a {len(shape)}D image: choose one 3D volume.")
    if components != 1:
        raise InputError(f"{path} has {components} values a voxel (a colour image?): convert it to grey.")
    if min(shape) < 1:
        raise InputError(f"{path} {DAMAGED}.")
    if min(shape) < 2:
        raise InputError(f"{path} is a single slice: choose a volume with several.")


def check_room(path: Path, stored: int, promised: int, packed: bool, needed: int | None = None) -> None:
    """Whether `stored` bytes of a file can hold the `promised` ones, and the memory what is `needed` for them.

    Raises:
        InputError: one of them cannot.
    """
    if promised > stored * (DEFLATE_RATIO if packed else 1):
        raise InputError(f"{path} {DAMAGED}.")
    check_memory(path, promised if needed is None else needed)


def check_memory(path: Path, needed: int) -> None:
    """
    Raises:
        InputError: fewer than `needed` bytes are free.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{path} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            "crop or resample it, or close other programs."
        )


def read_start(stream: Stream, count: int) -> bytes:
    """The next `count` bytes, or as many as there are.

    Raises:
        EOFError, OSError, zlib.error: the stream is cut off or damaged.
    """
    start = b""
    while len(start) < count and (piece := stream.read(count - len(start))):
        start += piece
    return start


def read_whole(path: Path, stream: Stream, count: int) -> bytearray:
    """The next `count` bytes; the rest is read too, as a checksum may follow, and left out.

    Raises:
        InputError: there are fewer, or far more.
        EOFError, OSError, zlib.error: the stream is cut off or damaged.
    """
    content = bytearray(count)
    view, filled = memoryview(content), 0
    while filled < count:
        piece = stream.read(min(_PIECE, count - filled))
        if not piece:
            raise InputError(f"{path} {DAMAGED}.")
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    surplus = 0
    while piece := stream.read(_PIECE):
        surplus += len(piece)
        if surplus > _SURPLUS:
            raise InputError(f"{path} holds far more than its header says: export it again from its source.")
    return content


def as_array(content: bytearray, dtype: np.dtype[np.generic], size: tuple[int, ...], offset: int = 0) -> Voxels:
    """Voxels (K, J, I) in this computer's byte order, from the bytes after `offset` of an image of `size` (i, j, k)."""
    voxels = np.frombuffer(content, dtype, math.prod(size), offset).reshape(size[::-1])
    return voxels.astype(dtype.newbyteorder("="), copy=False)


def is_perpendicular(geometry: Geometry) -> bool:
    """Whether the grid's axes stand on each other; formats that store angles cannot say anything else."""
    directions = geometry.direction_lps
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-4))

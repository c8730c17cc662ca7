"""The headers of the DICOM files that a folder, a DICOMDIR or one file stands for."""

# mypy: allow-untyped-calls

import io
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from ...errors import InputError
from ..formats.contents import DAMAGED, DEFLATE_RATIO, check_memory

_DICOMDIR = "DICOMDIR"

_MAGIC_AT, _MAGIC = 128, b"DICM"

_META, _DEFLATED = 1024, b"1.2.840.10008.1.2.1.99"
"""The bytes in which a file names its transfer syntax, and the one that packs all after them."""

_FIRST_GROUP = b"\x08\x00"
"""What files without preamble begin with, as they were written before 1993."""


DAMAGE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its plug-ins raise at content that no writer makes."""


@contextmanager
def damage_refused(path: Path) -> Iterator[None]:
    """What a damaged file in `path` makes of the block, where values are looked at only when they are asked for.

    Raises:
        InputError: the block met with damage.
    """
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{path} {DAMAGED}.") from error


class _Bounded(io.BufferedReader):
    """A file of which nobody can ask for more than there is: damaged headers speak of gigabytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


@dataclass(frozen=True)
class Headers:
    """What lies in a folder: readable headers by file, and files that look like slices and cannot be read."""

    folder: Path
    readable: dict[Path, FileDataset]
    damaged: tuple[Path, ...]


def headers_in(folder: Path) -> Headers:
    """The headers of all files in `folder` and of those its DICOMDIR names; no folder below it is searched otherwise.

    Raises:
        InputError: the DICOMDIR names files that are not there.
        OSError: a file may not be read.
    """
    files = dict.fromkeys(path for path in sorted(folder.iterdir()) if path.is_file() and path.name != _DICOMDIR)
    directory = folder / _DICOMDIR
    if directory.is_file():
        files |= dict.fromkeys(_listed_in(directory))
    readable = {path: header for path in files if (header := _header(path)) is not None}
    damaged = [path for path in files if path not in readable and (is_dicom(path) or _named_like(path, readable))]
    return Headers(folder, readable, tuple(damaged))


def opened(path: Path) -> BinaryIO:
    """The file, for pydicom to read."""
    return _Bounded(path)


def is_dicom(path: Path) -> bool:
    """Whether the file says that it is DICOM."""
    with path.open("rb") as file:
        start = file.read(_MAGIC_AT + len(_MAGIC))
    return start[_MAGIC_AT:] == _MAGIC


def _header(path: Path) -> FileDataset | None:
    """All of a file's header before its pixels; none where it is not DICOM or is damaged."""
    with path.open("rb") as file:
        old = file.read(len(_FIRST_GROUP)) == _FIRST_GROUP
    if not old and not is_dicom(path):
        return None
    _check_room_to_inflate(path)
    try:
        with opened(path) as file:
            header = pydicom.dcmread(file, stop_before_pixels=True, force=old)
            return header if "SeriesInstanceUID" in header else None
    except DAMAGE:
        return None


def is_deflated(path: Path) -> bool:
    """Whether all after the first lines of the header is packed."""
    with path.open("rb") as file:
        return _DEFLATED in file.read(_META)


def _check_room_to_inflate(path: Path) -> None:
    """pydicom unpacks a deflated file whole to read its header.

    Raises:
        InputError: that could take more memory than there is.
    """
    if is_deflated(path):
        check_memory(path, path.stat().st_size * DEFLATE_RATIO)


def _listed_in(directory: Path) -> Iterator[Path]:
    with opened(directory) as file:
        listing = pydicom.dcmread(file)
    for record in listing.get("DirectoryRecordSequence") or ():
        parts = record.get("ReferencedFileID")
        if parts is None or record.get("DirectoryRecordType") != "IMAGE":
            continue
        path = directory.parent.joinpath(*([parts] if isinstance(parts, str) else parts))
        if directory.parent.resolve() not in path.resolve().parents or not path.is_file():
            raise InputError(f"{directory} names files that are not there: copy the whole medium.")
        yield path


def _named_like(path: Path, slices: Iterable[Path]) -> bool:
    """Whether a file is called as the slices beside it are; then it is one that was damaged beyond recognition."""
    patterns = {re.sub(r"\d+", "#", other.name) for other in slices if other.parent == path.parent}
    suffixes = {other.suffix for other in slices if other.parent == path.parent} - {""}
    return re.sub(r"\d+", "#", path.name) in patterns or (path.suffix in suffixes and not path.suffix[1:].isdecimal())

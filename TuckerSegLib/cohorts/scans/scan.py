"""One scan of a cohort: where it lies, what it is called, and how one notices that it is another one now."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError

_PIECE = 1 << 20

_HEADERS = (".nhdr", ".mhd")
"""Files whose voxels are in others beside them."""

_UNSAFE = re.compile(r'[\x00-\x1f<>:"|?*\\]')
"""What some file system does not have in a name."""

_LONGEST = 200
"""Characters of a part of an id: file names may have 255, and a suffix comes after it."""


@dataclass(frozen=True)
class Scan:
    """`channels` are one file or DICOM folder each; its result is called by `id`, which may lead through folders.

    `columns` are what a table says of it besides, carried through to the measurements.
    """

    id: str
    channels: tuple[Path, ...]
    columns: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def at_hand(self) -> Iterator["Scan"]:
        """The scan with files on this computer, for as long as the block runs.

        Raises:
            InputError: it cannot be fetched.
        """
        yield self

    def files(self) -> list[Path]:
        """The files it consists of; of a file among the slices of a series, all that lie beside it."""
        return [file for channel in self.channels for file in _files(channel)]

    def size(self) -> int:
        """Bytes of its files, as far as they are there."""
        return sum(size for _, size, _ in self._states())

    def stamp(self) -> str:
        """Changes when one of its files is written, without any of them being read."""
        return hashlib.sha256(repr(list(self._states())).encode()).hexdigest()[:32]

    def digest(self) -> str:
        """The SHA-256 of its files' names and contents.

        Raises:
            InputError: one of them cannot be read.
        """
        found = hashlib.sha256()
        for file in self.files():
            found.update(f"{file.name}\n".encode())
            try:
                with file.open("rb") as opened:
                    while piece := opened.read(_PIECE):
                        found.update(piece)
            except OSError as error:
                raise InputError(f"{file} cannot be read ({error.strerror}): check that it is there.") from error
        return found.hexdigest()

    def _states(self) -> Iterator[tuple[str, int, int]]:
        for file in self.files():
            with suppress(OSError):
                state = file.stat()
                yield file.name, state.st_size, state.st_mtime_ns


def _files(channel: Path) -> list[Path]:
    if channel.is_dir():
        return sorted(file for file in channel.iterdir() if file.is_file())
    if channel.suffix.lower() in _HEADERS:
        return sorted(channel.parent.glob(f"{channel.stem}.*")) or [channel]
    return [channel]


def checked_id(text: str) -> str:
    """`text`, if results can be called by it on any file system.

    Raises:
        InputError: they cannot.
    """
    parts = text.split("/")
    bad = [part for part in parts if part in ("", ".", "..") or part != part.strip() or len(part) > _LONGEST]
    if bad or _UNSAFE.search(text) or parts[0].startswith("."):
        raise InputError(f"{text!r} cannot be the name of a file: give the scan another id.")
    return text

"""A folder of files that could be made again: written whole, and the least recently used is removed first.

A file appears whole or not at all. Whoever writes or removes one holds its lock, which the system releases when a
process dies; so what a killed process left is known from what a living one writes.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from .renaming import renamed

_UNFINISHED = ".unfinished."
"""Begins the name of the folder that a file is written in."""

_LOCK = ".lock"

_LONG_AGO = 3600
"""Seconds after which a hidden file that has no lock, as earlier versions wrote, is nobody's any more."""


@dataclass(frozen=True)
class File:
    """A file, or the folder that one was being written in: its bytes, and seconds since the epoch of its last use."""

    path: Path
    size: int
    used: float


class LruFolder:
    """The files in `path` whose names end in `suffix`: written whole, listed, and removed by their last use."""

    def __init__(self, path: Path, suffix: str = "") -> None:
        self.path, self._suffix = path, suffix

    @contextlib.contextmanager
    def locked(self, name: str, seconds: float = -1) -> Iterator[None]:
        """Keep other processes from writing or removing the file called `name`; those that want to wait for it.

        Raises:
            OSError: the folder cannot be used; a `TimeoutError` after so many seconds, if they are not negative.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock(name), timeout=seconds):
            yield

    @contextlib.contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """A file to write to, which takes the place of the one called `name` when the block ends well.

        For whoever holds the file's lock. Raises what writing does; nothing is left behind then.
        """
        folder = self._unfinished(name)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            partial = folder / name
            partial.touch()
            mode = partial.stat().st_mode
            yield partial
            partial.chmod(mode)  # that of the user's other files, whatever the writer gave it
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
            renamed(partial, self.path / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def files(self) -> list[File]:
        """The least recently used first."""
        paths = (path for path in self.path.glob("*") if self._is_one(path))
        return sorted(_found(paths), key=lambda file: file.used)

    def unfinished(self) -> list[File]:
        """What is being written, or was when its process died."""
        return list(_found(path for path in self.path.glob(".*") if self._name_of(path)))

    @property
    def size(self) -> int:
        """Bytes that all takes, finished or not."""
        return sum(file.size for file in (*self.files(), *self.unfinished()))

    def shrink(self, limit: int, keep: str | None = None) -> None:
        """Remove what is nobody's, then the least recently used, until `limit` bytes hold all; `keep` stays."""
        for file in self.unfinished():
            self._remove(file.path)
        files = self.files()
        excess = sum(file.size for file in files) - limit
        for file in files:
            if excess > 0 and file.path.name != keep and self._remove(file.path):
                excess -= file.size

    def remove(self, name: str) -> bool:
        """Remove the file called `name`, and say whether it is gone: not while a process holds its lock."""
        return self._remove(self.path / name)

    def clear(self) -> int:
        """Remove all that no process is writing, and say how many bytes that freed."""
        return sum(file.size for file in (*self.files(), *self.unfinished()) if self._remove(file.path))

    def _remove(self, path: Path) -> bool:
        lock = self._lock(self._name_of(path) or path.name)
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError:  # it is in use: Windows refuses, elsewhere the lock is held
            return False
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        return True

    def _lock(self, name: str) -> Path:
        return (self.path / name).with_suffix(_LOCK)

    def _unfinished(self, name: str) -> Path:
        return self.path / f"{_UNFINISHED}{name}"

    def _is_one(self, path: Path) -> bool:
        return path.name.endswith(self._suffix) and path.suffix != _LOCK and path.name[0] != "." and path.is_file()

    def _name_of(self, path: Path) -> str:
        """The name of the file that an unfinished one was to become; none where `path` is something else."""
        if path.name.startswith(_UNFINISHED):
            return path.name.removeprefix(_UNFINISHED)
        # Earlier versions wrote hidden files beside the others, `.<any>.<name>` or, by safetensors, `.tmp<any>`.
        with contextlib.suppress(OSError):
            if path.name.startswith(".") and path.is_file() and time.time() - path.stat().st_mtime > _LONG_AGO:
                first, _, name = path.name[1:].partition(".")
                return name or first
        return ""


def _found(paths: Iterator[Path]) -> Iterator[File]:
    """Those that are still there."""
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            inside = [part.stat().st_size for part in path.glob("*")] if path.is_dir() else [status.st_size]
            yield File(path, sum(inside), status.st_mtime)

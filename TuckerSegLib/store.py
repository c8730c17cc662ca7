"""What is kept on disk and could be made again: the least recently used is removed first.

A file appears whole or not at all. Whoever writes or removes one holds its lock, which the system releases when a
process dies; so what a killed process left is known from what a living one writes.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from .errors import InputError
from .renaming import renamed

_log = logging.getLogger(__name__)

_UNFINISHED = ".unfinished."
"""Begins the name of the folder that a file is written in."""

_LOCK = ".lock"

_SECONDS_TO_WAIT = 60
"""For another process that writes the same content; what is kept here can be done without."""

_LONG_AGO = 3600
"""Seconds after which a hidden file that has no lock, as earlier versions wrote, is nobody's any more."""

_FOLDER = "engines"

_CHOICES = "choices"
"""The folder of choices. They take no room, and others would give other results: nothing removes them by itself."""

CHOICES_VARIABLE = "TUCKERSEG_CHOICES"
"""Names a file that holds choices, in place of those that this computer made or would make."""

_LIMIT = 3_000_000_000
"""Bytes that all files of a `Store` may take together."""

Json = dict[str, Any]


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


class Store:
    """What engines keep in a cache folder, found again by the text of what it was made from.

    A folder that cannot be used costs time, never the run.
    """

    def __init__(self, cache: Path) -> None:
        self._files, self._choices = LruFolder(cache / _FOLDER), LruFolder(cache / _CHOICES)
        self.chosen: dict[str, Json] = {}
        """The choices that were asked for or made so far, which together with the request decide a result."""

    def choice(self, key: str) -> Json | None:
        """What was chosen under `key`, in the file that `CHOICES_VARIABLE` names or on this computer.

        Raises:
            InputError: there is such a file, and it cannot be used.
        """
        found = self._pinned.get(key) or self._kept_choice(key)
        if found is not None:
            self.chosen[key] = found
        return found

    def choose(self, key: str, content: Mapping[str, Any]) -> Json:
        """Keep a choice for good, and give back the one that holds: that of another process, if it was there first.

        Raises:
            InputError: as `choice`.
        """
        if self._pinned:
            _log.warning(
                "The choices in %s do not hold for all of this run, which was made on another computer, by other "
                "versions, or of another model or level: what they lack was chosen here.",
                os.environ[CHOICES_VARIABLE],
            )
        name, found = _name(key), dict(content)
        try:
            with self._choices.locked(name, _SECONDS_TO_WAIT):
                kept = self._kept_choice(key)
                if kept is None:
                    with self._choices.written(name) as partial:
                        partial.write_text(json.dumps({key: found}))
                found = kept or found
        except OSError as error:
            _log.warning("Nothing could be kept in %s (%s).", self._choices.path, error.strerror or error)
        self.chosen[key] = found
        return found

    def forget_choices(self) -> int:
        """Remove the choices made on this computer, so that they are made anew; bytes freed."""
        return self._choices.clear()

    @cached_property
    def _pinned(self) -> dict[str, Json]:
        named = os.environ.get(CHOICES_VARIABLE)
        return _choices_in(Path(named)) if named else {}

    def _kept_choice(self, key: str) -> Json | None:
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
            found = json.loads((self._choices.path / _name(key)).read_bytes()).get(key)
            return found if isinstance(found, dict) else None
        return None

    def read(self, key: str) -> bytes | None:
        """What was written under `key`, now marked as used; None where there is nothing, or nothing readable."""
        path = self._files.path / _name(key)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            with contextlib.suppress(OSError):
                os.utime(path)
            return content
        return None

    def write(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        name = _name(key)
        try:
            with self._files.locked(name, _SECONDS_TO_WAIT), self._files.written(name) as partial:
                partial.write_bytes(content)
            self._files.shrink(_LIMIT, keep=name)
        except OSError as error:
            _log.warning("Nothing could be kept in %s (%s).", self._files.path, error.strerror or error)

    def forget(self, key: str) -> None:
        """Remove what is kept under `key`."""
        self._files.remove(_name(key))

    def read_json(self, key: str) -> Json | None:
        """As `read`, for an object that `write_json` wrote."""
        with contextlib.suppress(ValueError):
            content = json.loads(self.read(key) or b"null")
            return content if isinstance(content, dict) else None
        return None

    def write_json(self, key: str, content: Mapping[str, Any]) -> None:
        """As `write`, for an object."""
        self.write(key, json.dumps(content).encode())

    @property
    def size(self) -> int:
        """Bytes that all files take."""
        return self._files.size

    def clear(self) -> int:
        """Remove all files, and say how many bytes that freed."""
        return self._files.clear()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _found(paths: Iterator[Path]) -> Iterator[File]:
    """Those that are still there."""
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            inside = [part.stat().st_size for part in path.glob("*")] if path.is_dir() else [status.st_size]
            yield File(path, sum(inside), status.st_mtime)


def _choices_in(path: Path) -> dict[str, Json]:
    """The choices in a file: those of a result, or the whole account of a run, of one scan or of many."""
    try:
        if not path.is_file():
            raise OSError("no such file")
        content = json.loads(path.read_bytes())
        runs = content.get("segmentations", [content])
        found = {key: one for run in runs for key, one in run.get("choices", run).items()}
        if found and all(isinstance(one, dict) for one in found.values()):
            return found
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise InputError(f"{path}, which {CHOICES_VARIABLE} names, holds no choices that can be read.") from error
    raise InputError(f"{path}, which {CHOICES_VARIABLE} names, holds no choices of a run.")

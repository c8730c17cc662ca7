"""What engines keep on disk, found again by what it was made from, the least recently used removed first.

Files appear whole or not at all. A folder that cannot be used costs time, never the run.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

_log = logging.getLogger(__name__)

_FOLDER = "engines"

_LIMIT = 3_000_000_000
"""Bytes that all files may take together."""

Json = dict[str, Any]


class Store:
    """The engines' part of a cache folder."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / _FOLDER

    def read(self, key: str) -> bytes | None:
        """What was written under `key`, now marked as used; None where there is nothing, or nothing readable."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            os.utime(path)
            return content
        return None

    def write(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        path = self._path(key)
        partial = path.with_suffix(f".{uuid4().hex}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            os.replace(partial, path)
        except OSError as error:
            _log.warning("Nothing could be kept in %s (%s).", self._folder, error.strerror)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        self._shrink(path)

    def forget(self, key: str) -> None:
        """Remove what is kept under `key`."""
        _remove(self._path(key))

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
        return sum(size for _, size, _ in self._files())

    def clear(self) -> int:
        """Remove all files, and say how many bytes that freed."""
        return sum(size for path, size, _ in self._files() if _remove(path))

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def _files(self) -> list[tuple[Path, int, float]]:
        """With their bytes and the time of their last use, the oldest first."""
        found = []
        for path in self._folder.glob("*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file[2])

    def _shrink(self, newest: Path) -> None:
        files = self._files()
        excess = sum(size for _, size, _ in files) - _LIMIT
        for path, size, _ in files:
            if excess > 0 and path != newest and _remove(path):
                excess -= size


def _remove(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False

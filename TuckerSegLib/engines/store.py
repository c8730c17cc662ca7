"""Networks as engines prepared them, on disk: found again by what they were made from, the oldest removed first."""

import contextlib
from pathlib import Path

_FOLDER = "engines"
_LIMIT = 3_000_000_000
"""Bytes that they may take together."""


def prepared_bytes(cache: Path) -> int:
    """What the prepared networks in a cache folder take."""
    return sum(size for _, size, _ in _files(cache))


def clear_prepared(cache: Path) -> int:
    """Remove them all, and say how many bytes that freed."""
    return sum(size for path, size, _ in _files(cache) if _removed(path))


def _files(cache: Path) -> list[tuple[Path, int, float]]:
    """With the bytes and the time of last use, the oldest first."""
    found = []
    for path in (cache / _FOLDER).glob("*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: file[2])


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False

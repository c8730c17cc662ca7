"""Room on the disk: how much is free, and how much of what an installation needs it has taken so far."""

import shutil
from contextlib import suppress
from pathlib import Path

_WHOLE = 0.99
"""What is said while the end is near but not there."""


class Room:
    """For a folder that is to hold so many `megabytes`, of which it may have some; `wanted` are the bytes that lack.

    What is free on the disk tells that at once, where counting thousands of files would not; other programs write there
    too, so it is no more than an estimate.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        whole, there = megabytes * 1e6, _size(folder)
        self.wanted = max(whole - there, 0.0)
        self._whole, self._there = whole, there
        self._folder = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
        self._free = self.free
        self._taken = 0.0

    @property
    def free(self) -> float:
        """Bytes."""
        return float(shutil.disk_usage(self._folder).free)

    def taken(self) -> float:
        """The share that is taken, from 0 to 1; it never falls."""
        share = (self._there + self._free - self.free) / self._whole
        self._taken = max(self._taken, min(round(share, 2), _WHOLE))
        return self._taken


def _size(folder: Path) -> float:
    """Bytes that a folder takes; what has several names, as uv's cache gives files, counts once."""
    total = 0.0
    for path in folder.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            total += 0 if path.is_dir() else status.st_size / max(status.st_nlink, 1)
    return total

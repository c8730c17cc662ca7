"""Arrays that two processes share: files mapped into memory, or named memory on Windows; free of PyTorch.

Not `multiprocessing.shared_memory`: before Python 3.13 it starts a tracker process through `sys.executable`, which
inside 3D Slicer is Slicer itself, and on Linux it dies of a bus error where /dev/shm is smaller than the array, as it
is in most containers. Everything one client shares lies in folders of one name, which either side can remove.
"""

import mmap
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from ..errors import NotEnoughMemory

_WINDOWS = sys.platform == "win32"

Described = dict[str, Any]
"""An array as JSON: where it is, its shape and type."""


class Exchange:
    """The place that a client and its worker share arrays in.

    `name` is given to the worker; None makes a new one. Whoever creates an array must keep it until the other side has
    attached to it: on Windows the memory goes with the last one who holds it.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"tuckerseg-{uuid4().hex}"

    def share(self, array: npt.NDArray[Any]) -> "Shared":
        """A copy of `array` that the other side can attach to.

        Raises:
            NotEnoughMemory: there is no room for it.
        """
        source = np.asarray(array)
        described = {"shape": list(source.shape), "dtype": source.dtype.newbyteorder("=").str}
        size = max(source.nbytes, 1)
        if _WINDOWS:
            tag = f"Local\\{self.name}-{uuid4().hex}"
            shared = Shared(_named_memory(tag, size), {**described, "at": tag})
        else:
            path = self._file(size)
            shared = Shared(_mapped(path, size), {**described, "at": str(path)})
        shared.array[...] = source
        return shared

    def attach(self, described: Described) -> "Shared":
        """The array that the other side shared and described."""
        size = max(prod(described["shape"]) * np.dtype(described["dtype"]).itemsize, 1)
        at = described["at"]
        return Shared(_named_memory(at, size) if _WINDOWS else _mapped(Path(at), size), described)

    def remove(self) -> None:
        """Everything that either side shared and did not remove; what is attached stays usable."""
        if not _WINDOWS:
            for folder in self._folders():
                shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Memory where there is a file system in memory, and the disk for what does not fit there."""
        return [Path(base) / self.name for base in ("/dev/shm", tempfile.gettempdir()) if os.access(base, os.W_OK)]

    def _file(self, size: int) -> Path:
        for folder in self._folders():
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                return _reserved(folder / uuid4().hex, size)
        raise NotEnoughMemory(f"There is no room for {size / 1e6:,.0f} MB in {tempfile.gettempdir()}: free some.")


class Shared:
    """One shared array, mapped as long as this object or a view of `array` lives."""

    def __init__(self, memory: mmap.mmap, described: Described) -> None:
        self.described = described
        self.array: npt.NDArray[Any] = np.ndarray(described["shape"], described["dtype"], buffer=memory)

    def remove(self) -> None:
        """Take its name away: nobody can attach any more, and the memory goes when the last one lets go of it."""
        if not _WINDOWS:
            Path(self.described["at"]).unlink(missing_ok=True)


def _named_memory(tag: str, size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, tagname=tag)  # type: ignore[call-arg, unused-ignore]


def _mapped(path: Path, size: int) -> mmap.mmap:
    with path.open("rb+") as file:
        return mmap.mmap(file.fileno(), size)


def _reserved(path: Path, size: int) -> Path:
    """A file whose pages exist: writing to a mapped file on a full file system would kill the process."""
    try:
        with path.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path

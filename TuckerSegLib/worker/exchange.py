"""Arrays that two processes of one user share, and nobody else can open; free of PyTorch.

On Linux they lie in files that never have a name: the other process opens them through the first one's entry in /proc,
which the system shows to the same user alone, and their memory goes with the last process that holds them, however that
ends. Where there is no such entry, a file has a name that nobody can guess, is made anew, for its owner only, and loses
that name as soon as both have opened it. Windows has memory with a name in place of files.

Not `multiprocessing.shared_memory`: before Python 3.13 it starts a tracker process through `sys.executable`, which
inside 3D Slicer is Slicer itself, and on Linux it dies of a bus error where /dev/shm is smaller than the array, as it
is in most containers.
"""

import mmap
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from ..errors import NotEnoughMemory, WorkerError, is_full_disk

_WINDOWS = sys.platform == "win32"

_ZEROS = memoryview(bytes(1 << 22))

_PREFIX = "tuckerseg-"

_NAMED = re.compile(rf"{_PREFIX}(\d+)-\w+")
"""A file with a name, which tells the process that made it."""

Described = dict[str, Any]
"""An array as JSON: where it is, its shape and type."""


class Shared:
    """One shared array, mapped as long as this object or a view of `array` lives."""

    def __init__(self, memory: mmap.mmap, described: Described, let_go: Callable[[], object] = lambda: None) -> None:
        self.described = described
        self.array: npt.NDArray[Any] = np.ndarray(described["shape"], described["dtype"], buffer=memory)
        self._let_go = let_go

    def remove(self) -> None:
        """Nobody can attach any more, and the memory goes when the last one lets go of it."""
        self._let_go()


def share(array: npt.NDArray[Any]) -> Shared:
    """A copy of `array` that another process of this user can attach to, until it is removed.

    Raises:
        NotEnoughMemory: there is no room for it.
    """
    source = np.asarray(array)
    described = {"shape": list(source.shape), "dtype": source.dtype.newbyteorder("=").str}
    size = max(source.nbytes, 1)
    if _WINDOWS:
        tag = f"Local\\{_PREFIX}{uuid4().hex}"
        shared = Shared(_named_memory(tag, size), {**described, "at": tag})
    else:
        file = _file(size)
        state = os.fstat(file.fileno())
        at = {"at": file.name, "file": [state.st_dev, state.st_ino]}
        shared = Shared(mmap.mmap(file.fileno(), size), {**described, **at}, file.close)
    shared.array[...] = source
    return shared


def attach(described: Described) -> Shared:
    """The array that another process shared and described; where that gave it a name, it has none from now on.

    Raises:
        WorkerError: it is not there any more.
    """
    size = max(prod(described["shape"]) * np.dtype(described["dtype"]).itemsize, 1)
    if _WINDOWS:
        return Shared(_named_memory(described["at"], size), described)
    path = Path(described["at"])
    try:
        with path.open("rb+") as file:
            state = os.fstat(file.fileno())
            # A number in /proc may mean another file by now, and a name another user's.
            if [state.st_dev, state.st_ino] != described["file"] or state.st_uid != os.geteuid():
                raise FileNotFoundError("another file")
            _take_name(path)
            return Shared(mmap.mmap(file.fileno(), size), described)
    except (OSError, ValueError) as error:
        raise WorkerError("What the other process shared is not there any more: try again.") from error


def sweep() -> None:
    """Remove what ended processes of this user left; on Linux and Windows there is nothing to leave."""
    for path in (path for base in _places() for path in Path(base).glob(f"{_PREFIX}*")):
        named = _NAMED.fullmatch(path.name)
        with suppress(OSError):
            state = path.lstat()
            if named and stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and _is_gone(int(named[1])):
                path.unlink()


class _NamedFile:
    """A file that loses its name when it is closed, if it has it still."""

    def __init__(self, folder: str) -> None:
        descriptor, self.name = tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=folder)
        self._file = os.fdopen(descriptor, "rb+")
        self.fileno = self._file.fileno

    def close(self) -> None:
        self._file.close()
        _take_name(Path(self.name))


class _NamelessFile:
    """A file in a folder that no folder shows, under the name that /proc has for it."""

    def __init__(self, folder: str) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self.fileno, self.close = self._file.fileno, self._file.close
        self.name = f"/proc/{os.getpid()}/fd/{self.fileno()}"

    @property
    def can_be_opened(self) -> bool:
        """Whether /proc tells of this very process, and tells this user."""
        with suppress(OSError):
            mine = Path(self.name).parent.stat().st_uid == os.geteuid()
            return mine and os.path.samestat(os.stat(self.name), os.fstat(self.fileno()))
        return False


def _places() -> list[str]:
    """Memory where there is a file system in memory, and the disk for what does not fit there."""
    places = ("/dev/shm", tempfile.gettempdir())  # files there are made anew, for their owner alone  # nosec B108
    return [] if _WINDOWS else [base for base in places if os.access(base, os.W_OK)]


def _file(size: int) -> _NamedFile | _NamelessFile:
    refused: OSError | None = None
    for folder in _places():
        try:
            return _reserved(_made(folder), size)
        except OSError as error:
            refused = error
    reason = f" ({refused.strerror})" if refused and not is_full_disk(refused) else ""
    raise NotEnoughMemory(
        f"There is no room for {max(size / 1e6, 1):,.0f} MB in {tempfile.gettempdir()}{reason}: free some."
    )


def _made(folder: str) -> _NamedFile | _NamelessFile:
    if sys.platform == "linux":
        nameless = _NamelessFile(folder)
        if nameless.can_be_opened:
            return nameless
        nameless.close()
    return _NamedFile(folder)


def _reserved(file: _NamedFile | _NamelessFile, size: int) -> _NamedFile | _NamelessFile:
    """A file whose pages exist: writing to a mapped file on a full file system would kill the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS, whose files have no pages before something is written to them
            place = 0
            while place < size:
                place += os.pwrite(file.fileno(), _ZEROS[: size - place], place)
    except OSError:
        file.close()
        raise
    return file


def _take_name(path: Path) -> None:
    if _NAMED.fullmatch(path.name):
        path.unlink(missing_ok=True)


def _named_memory(tag: str, size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, tagname=tag)  # type: ignore[call-arg, unused-ignore]


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False

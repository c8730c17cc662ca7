"""The weighted patches of a whole image, added up: in memory, or in a file where they would take too much of it."""

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import torch
from torch import Tensor

from ...errors import NotEnoughMemory
from ...folders import cache_folder
from ...memory_limit import left
from .merged import Features
from .places import Place

_CPU = torch.device("cpu")

_SHARE = 0.7
"""Of the memory that is left; the rest is for the labels and for the original network, which checks them."""


class Sums:
    """Channels of an image, (C, *spatial), that start at zero.

    A part of a file is in memory while it is worked on, and no longer.
    """

    def __init__(self, sums: Tensor, file: "_MappedFile | None" = None) -> None:
        self._sums, self._file = sums, file

    @classmethod
    def zeros(cls, shape: Sequence[int], dtype: torch.dtype = torch.float) -> "Sums":
        """On the CPU.

        Raises:
            NotEnoughMemory: neither memory nor disk suffices.
        """
        size = math.prod(shape) * dtype.itemsize
        if size <= _SHARE * left():
            return cls(torch.zeros(tuple(shape), dtype=dtype))
        file = _MappedFile(size)
        return cls(torch.frombuffer(file.memory, dtype=dtype).view(tuple(shape)), file)

    @classmethod
    def zeros_like(cls, patch: Tensor, shape: Sequence[int], dtype: torch.dtype) -> "Sums":
        """On the device of a `patch` (C, *patch), in the order that it has in memory."""
        if patch.device == _CPU:
            return cls.zeros(shape, dtype)
        if patch.stride(0) != 1:
            return cls(torch.zeros(tuple(shape), dtype=dtype, device=patch.device))
        return cls(torch.zeros((*shape[1:], shape[0]), dtype=dtype, device=patch.device).movedim(-1, 0))

    @property
    def shape(self) -> torch.Size:
        return self._sums.shape

    def __getitem__(self, index: Any) -> Tensor:
        """A part; a copy where they are in a file."""
        if self._file is None:
            return self._sums[index]
        part = self._sums[index].clone()
        self._leave_memory()
        return part

    def add(self, patch: Tensor, place: Place) -> None:
        """Add a patch (C, *patch), channel by channel: where types differ, PyTorch makes copies as large as it."""
        there = self._sums[place]
        if patch.device == _CPU:
            for channel, sums in zip(patch, there, strict=True):
                sums += channel
        else:
            there += patch
        self._leave_memory()

    def add_all(self, other: "Sums") -> None:
        """Add as many channels as there are."""
        for channel, added in zip(self._sums, other._sums, strict=True):
            channel += added.cpu()
            self._leave_memory()
            other._leave_memory()

    def divide(self, weight: Tensor) -> None:
        """By what all patches weigh, (*spatial)."""
        if self._file is None:
            torch.div(self._sums, weight, out=self._sums)
            return
        for channel in self._sums:
            channel /= weight
            self._leave_memory()

    def inside(self, place: Place) -> "Sums":
        """A part, which shares the numbers."""
        return Sums(self._sums[place], self._file)

    def split(self, channels: int) -> list["Sums"]:
        """So many channels each."""
        return [Sums(part, self._file) for part in torch.split(self._sums, channels)]

    @property
    def features(self) -> Features:
        """The numbers alone, where they are in memory."""
        return self if self._file else self._sums

    def _leave_memory(self) -> None:
        if self._file:
            self._file.leave_memory()


class _MappedFile:
    """A file of zeros without a name, in the cache's folder: that for temporary files may be in memory itself."""

    def __init__(self, size: int) -> None:
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < size:
                raise _no_room(size)
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 — for as long as this is there
            _fill(self._file, size)
            self.memory = mmap.mmap(self._file.fileno(), size)
        except OSError as error:
            raise _no_room(size) from error

    def leave_memory(self) -> None:
        """What was read or written stays in the file. Windows cannot be told, and sees to it when memory is short."""
        if hasattr(self.memory, "madvise"):
            with suppress(OSError):
                self.memory.madvise(mmap.MADV_DONTNEED)


def _fill(file: IO[bytes], size: int) -> None:
    """Each page is there before it is written to: on a full disk that would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(1 << 22)
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    file.flush()


def _no_room(size: int) -> NotEnoughMemory:
    return NotEnoughMemory(
        f"What the network answers takes {size / 1e9:.1f} GB, for which neither memory nor {cache_folder()} has room: "
        "close other programs, free space on the disk, or crop the image."
    )

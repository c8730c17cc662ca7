"""Stored numbers of DICOM frames -> values, each frame by its own slope and intercept.

Photometric interpretation says how to show values, not what they are: air has -1000 Hounsfield units in an image that
is to be shown inverted, too. (DICOM PS3.3, C.11.1 and C.7.6.3.1.2.)
"""

# mypy: allow-untyped-calls

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from ...errors import InputError
from ..formats.contents import DAMAGED, Voxels, check_memory
from .frames import Frame
from .unpacking import unpacked, unpacked_elsewhere

_WHOLE = ("u1", "i2", "u2", "i4")
"""Types for whole values, the smallest first."""


def voxels_of(folder: Path, frames: Sequence[Frame], headers: Mapping[Path, FileDataset]) -> Voxels:
    """(K, J, I): the values of all frames, in a type that holds what each of them can be.

    Args:
        folder: what the user named, for the error.
        frames: in the order of K.
        headers: of their files; they agree in the number of rows and columns.

    Raises:
        InputError: a file is damaged or packed in a way that nothing here unpacks, or memory does not suffice.
    """
    for syntax in {header.file_meta.TransferSyntaxUID for header in headers.values()}:
        _check_unpackable(folder, syntax)
    dtype = np.result_type(*{_value_type(headers[frame.file], frame.slope, frame.intercept) for frame in frames})
    header = headers[frames[0].file]
    shape = len(frames), int(header.Rows), int(header.Columns)
    check_memory(folder, math.prod(shape) * dtype.itemsize)
    voxels = np.empty(shape, dtype)
    for (frame, stored), plane in zip(_stored(frames, headers, shape[1:]), voxels, strict=True):
        if frame.slope == 1 and frame.intercept == 0:
            plane[...] = stored
        else:
            plane[...] = stored.astype(np.float64) * frame.slope + frame.intercept
    return voxels


def _check_unpackable(folder: Path, syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise InputError(f"{folder} is compressed as {syntax.name}, which is unknown here: export it uncompressed.")


def _value_type(header: Dataset, slope: float, intercept: float) -> np.dtype[np.generic]:
    bits, signed = int(header.get("BitsStored") or 64), int(header.get("PixelRepresentation") or 0)
    if bits > 32:  # floating-point pixels
        return np.dtype(np.float64)
    if not (slope.is_integer() and intercept.is_integer()):
        return np.dtype(np.float32 if bits <= 16 else np.float64)
    stored = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    lowest, highest = sorted(slope * end + intercept for end in stored)
    fitting = (kind for kind in _WHOLE if np.iinfo(kind).min <= lowest and highest <= np.iinfo(kind).max)
    return np.dtype(next(fitting, "f8"))


def _stored(
    frames: Sequence[Frame], headers: Mapping[Path, FileDataset], shape: tuple[int, int]
) -> Iterator[tuple[Frame, Voxels]]:
    """Each frame with the numbers stored for it."""
    compressed = any(header.file_meta.TransferSyntaxUID.is_compressed for header in headers.values())
    planes = unpacked_elsewhere(frames, shape) if compressed else unpacked(frames)
    for frame, plane in zip(frames, planes, strict=True):
        if plane.shape != shape:
            raise InputError(f"{frame.file} {DAMAGED}.")
        yield frame, _without_other_bits(plane, headers[frame.file])


def _without_other_bits(plane: Voxels, header: Dataset) -> Voxels:
    """Only the bits in use; old overlays lie in the others."""
    bits = int(header.get("BitsStored", 0))
    unused = plane.dtype.itemsize * 8 - bits
    if plane.dtype.kind not in "iu" or not bits or unused <= 0:
        return plane
    low = int(header.HighBit) + 1 - bits
    used: Voxels = np.right_shift(np.left_shift(plane, unused - low), unused)
    return used

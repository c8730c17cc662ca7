"""One frame of a DICOM file: where it lies, how large its pixels are, and how its stored numbers become values.

A classic file holds one frame and says it at the top; an Enhanced one holds many, and says it once for all of them (in
the shared functional groups) or for each (in the per-frame ones).
"""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from ...errors import InputError

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """
    Attributes:
        file, index: where its pixels are.
        position: (3,) the centre of its first pixel in LPS mm.
        directions: (6,) unit vectors along a row and along a column.
        spacing: millimetres between rows and between columns.
        slope, intercept: value = slope * stored number + intercept.
    """

    file: Path
    index: int
    position: Vector
    directions: Vector
    spacing: tuple[float, float]
    slope: float
    intercept: float


def frames_of(file: Path, header: Dataset) -> list[Frame]:
    """All frames of a file but those that only help to plan a scan.

    Raises:
        InputError: the file does not say where its frames lie or how large their pixels are.
    """
    if header.get("ModalityLUTSequence"):
        raise InputError("The DICOM files give their values by a table, not by slope and intercept: export them anew.")
    each = header.get("PerFrameFunctionalGroupsSequence")
    if not each:
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise InputError("The DICOM file has several frames and does not say where they lie: export it as slices.")
        return [_frame(file, 0, [header], header)]
    shared = list(header.get("SharedFunctionalGroupsSequence") or ())
    groups = [[group, *shared] for group in each]
    return [_frame(file, index, found, header) for index, found in enumerate(groups) if not _is_localizer(found)]


def is_localizer(header: Dataset) -> bool:
    """Whether a classic file is an overview, which only helps to plan a scan."""
    return "LOCALIZER" in (header.get("ImageType") or ())


def _is_localizer(groups: Sequence[Dataset]) -> bool:
    kinds = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    return any("LOCALIZER" in str(_found(groups, kind, "FrameType")) for kind in kinds)


def _frame(file: Path, index: int, groups: Sequence[Dataset], header: Dataset) -> Frame:
    """From the functional groups of a frame or, in a classic file, from its whole header."""
    position = _numbers(_found(groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    directions = _numbers(_found(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    if position is None or directions is None:
        raise InputError("The DICOM files do not say where their slices lie: export the series again.")
    spacing = _numbers(_found(groups, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if spacing is None or not (spacing > 0).all():
        raise InputError("The DICOM files do not say how large their pixels are (no PixelSpacing): export them again.")
    slope, intercept = (
        _number(_found(groups, "PixelValueTransformationSequence", key), header.get(key), otherwise)
        for key, otherwise in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    return Frame(file, index, position, directions, (float(spacing[0]), float(spacing[1])), slope, intercept)


def _found(groups: Sequence[Dataset], sequence: str, key: str) -> object:
    """`key` of the first group that has it, inside `sequence` or, as classic files have it, by itself."""
    for group in groups:
        inside = group.get(sequence)
        value = (inside[0] if inside else group).get(key)
        if value is not None:
            return value
    return None


def _numbers(value: object, count: int) -> Vector | None:
    if not isinstance(value, Sequence) or len(value) != count:
        return None
    return np.array([float(number) for number in value])


def _number(*values: object) -> float:
    return next(float(str(value)) for value in values if value is not None)

"""Frames of one series -> their order and the grid they lie on, if they form a volume.

A grid has one spacing and straight axes. Scanners round positions, so that frames lie beside their place on it, but
none may do so by more than a small share of a voxel: steps that are a little off and a slight tilt add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..volume import Geometry
from .frames import Frame

Array = npt.NDArray[np.float64]

_ALONG = 0.1
"""Share of a step by which a slice may lie before or behind its place."""

_ACROSS = 0.25
"""Share of a pixel by which anything in a slice may lie beside its place."""

_SAME_PLACE = 1e-3
"""Millimetres between slices that lie on each other."""

_ROUNDED = 1e-3
"""By how much written directions may miss the length 1 and the right angle."""


@dataclass(frozen=True)
class Stack:
    """Frames from the lowest to the highest along their normal, and the grid (K, J, I) they lie on."""

    frames: list[Frame]
    geometry: Geometry


def stacked(name: str, frames: Sequence[Frame], shape: tuple[int, int]) -> Stack:
    """The stack of all frames of the series called `name`, whose slices are `shape` (J, I) pixels.

    Raises:
        InputError: the frames form no volume.
    """
    row, column, pixel = _in_common(name, frames, shape)
    normal = np.cross(row, column)
    positions = np.stack([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    step = _step(name, positions[order], normal, min(pixel))
    geometry = Geometry.from_lps(
        (len(frames), *shape),
        (pixel[1], pixel[0], step),
        positions[order[0]],
        np.stack([row, column, normal], axis=1),
    )
    return Stack([frames[place] for place in order], geometry)


def _in_common(name: str, frames: Sequence[Frame], shape: tuple[int, int]) -> tuple[Array, Array, tuple[float, float]]:
    """The directions of rows and columns, and the distances between rows and between columns."""
    directions = np.stack([frame.directions for frame in frames])
    allowed = _ACROSS / max(shape)  # what the far end of a slice turns or stretches by is within the tolerance
    if np.ptp(directions, axis=0).max() > allowed:
        raise InputError(f"The slices of {name} are not parallel: put those of one orientation in their own folder.")
    row, column = directions[0].reshape(2, 3)
    lengths = np.linalg.norm(directions[0].reshape(2, 3), axis=1)
    if not (np.abs(lengths - 1) < _ROUNDED).all() or not abs(row @ column) < _ROUNDED:
        raise InputError(f"The slices of {name} have impossible directions: export the series again.")
    pixels = np.array([frame.spacing for frame in frames])
    if np.ptp(pixels, axis=0).max() > allowed * pixels.min():
        raise InputError(
            f"The slices of {name} have pixels of several sizes: put those of one size in their own folder."
        )
    return row / lengths[0], column / lengths[1], frames[0].spacing


def _step(name: str, positions: Array, normal: Array, pixel: float) -> float:
    """Millimetres from one slice to the next, all being where a straight and even stack has them."""
    heights = (positions - positions[0]) @ normal
    steps = np.diff(heights)
    if not np.isfinite(positions).all() or steps.min() < _SAME_PLACE:
        raise InputError(f"Slices of {name} lie on each other: put those of one phase or echo in their own folder.")
    step = heights[-1] / len(steps)
    across = positions - positions[0] - np.outer(heights, normal)
    if np.linalg.norm(across, axis=1).max() > _ACROSS * pixel:
        raise InputError(f"The slices of {name} were taken with a tilted gantry: resample it to a straight volume.")
    if np.abs(heights - step * np.arange(len(heights))).max() > _ALONG * step:
        raise InputError(f"The slices of {name} are not evenly spaced, some may be missing: export it completely.")
    return float(step)

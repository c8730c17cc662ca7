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
"""Written directions may miss the length 1 and the right angle by so much."""


_LARGEST_GAP = 2.5
"""Steps between two slices beyond which what lies between them is not made up."""


@dataclass(frozen=True)
class Stack:
    """Frames from the lowest to the highest along their normal, and the grid (K, J, I) they lie on.

    `places` are (K, 3): where on that grid the first pixel of each slice is, in voxels (i, j, k). In a straight and
    even stack they are (0, 0, 0), (0, 0, 1) and so on.
    """

    frames: list[Frame]
    geometry: Geometry
    places: Array
    is_straight: bool


def stacked(name: str, frames: Sequence[Frame], shape: tuple[int, int], straighten: bool = False) -> Stack:
    """The stack of all frames of the series called `name`, whose slices are `shape` (J, I) pixels.

    Args:
        straighten: take tilted and uneven stacks, too.

    Raises:
        InputError: the frames form no volume.
    """
    row, column, pixel = _in_common(name, frames, shape)
    normal = np.cross(row, column)
    positions = np.stack([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    axes = np.stack([row * pixel[1], column * pixel[0], normal])
    offsets = (positions[order] - positions[order[0]]) @ np.linalg.inv(axes)
    steps = np.diff(offsets[:, 2])
    if not np.isfinite(positions).all() or steps.min() < _SAME_PLACE:
        raise InputError(f"Slices of {name} lie on each other: put those of one phase or echo in their own folder.")
    step = offsets[-1, 2] / len(steps)
    fault = _fault(name, offsets, step)
    if fault and (not straighten or steps.max() > _LARGEST_GAP * np.median(steps)):
        raise InputError(fault)
    step = float(np.median(steps) if fault else step)
    geometry = Geometry.from_lps(
        (len(frames), *shape),
        (pixel[1], pixel[0], step),
        positions[order[0]],
        np.stack([row, column, normal], axis=1),
    )
    return Stack([frames[place] for place in order], geometry, offsets / (1, 1, step), not fault)


def _in_common(name: str, frames: Sequence[Frame], shape: tuple[int, int]) -> tuple[Array, Array, tuple[float, float]]:
    """The directions of rows and columns, and the distances between rows and between columns."""
    directions = np.stack([frame.directions for frame in frames])
    allowed = _ACROSS / max(shape)  # what the far end of a slice turns or stretches by is within the tolerance
    if not np.ptp(directions, axis=0).max() <= allowed:
        raise InputError(f"The slices of {name} are not parallel: put those of one orientation in their own folder.")
    row, column = directions[0].reshape(2, 3)
    lengths = np.linalg.norm(directions[0].reshape(2, 3), axis=1)
    if not (np.abs(lengths - 1) < _ROUNDED).all() or not abs(row @ column) < _ROUNDED:
        raise InputError(f"The slices of {name} have impossible directions: export the series again.")
    pixels = np.array([frame.spacing for frame in frames])
    if not np.ptp(pixels, axis=0).max() <= allowed * pixels.min():
        raise InputError(
            f"The slices of {name} have pixels of several sizes: put those of one size in their own folder."
        )
    return row / lengths[0], column / lengths[1], frames[0].spacing


def _fault(name: str, offsets: Array, step: float) -> str:
    """What keeps slices at `offsets` (pixels, pixels, mm) from being a grid; empty where nothing does."""
    if np.abs(offsets[:, :2]).max() > _ACROSS:
        return (
            f"The slices of {name} were taken with a tilted gantry: resample it to a straight volume, "
            "or allow that with --straighten."
        )
    if np.abs(offsets[:, 2] - step * np.arange(len(offsets))).max() > _ALONG * step:
        return (
            f"The slices of {name} are not evenly spaced, some may be missing: export it completely, "
            "or allow to resample it with --straighten."
        )
    return ""

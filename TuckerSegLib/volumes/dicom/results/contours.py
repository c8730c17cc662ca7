"""The outlines of a mask in one slice, as a radiotherapy structure set has them.

An outline runs halfway between the centres of the pixels inside and outside, so that it encloses the centres of exactly
the mask's pixels. Holes are joined to the outline around them by a channel without width, the keyhole of DICOM PS3.3,
C.8.8.6.3, which every reader understands.
"""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

Points = npt.NDArray[np.float64]


def outlines(mask: npt.NDArray[np.bool_]) -> Iterator[Points]:
    """One closed outline (N, 2) for each part of `mask` (J, I) that hangs together by its pixels' sides.

    Points are (j, i) in pixels, whole numbers at pixels' centres; the first is not repeated at the end.
    """
    parts, _ = ndimage.label(mask)
    for number, where in enumerate(ndimage.find_objects(parts), start=1):
        rows, columns = where
        offset = (rows.start - 1, columns.start - 1)
        yield _with_keyholes(_loops(np.pad(parts[where] == number, 1))) + offset


def _loops(mask: npt.NDArray[np.bool_]) -> list[Points]:
    """The outer outline, then those of the holes."""
    from skimage.measure import find_contours

    loops = [_without_straight(loop[:-1]) for loop in find_contours(mask, 0.5, fully_connected="low")]
    return sorted(loops, key=_area, reverse=True)


def _without_straight(loop: Points) -> Points:
    """Without the points at which an outline does not turn."""
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    kept: Points = loop[turns]
    return kept


def _area(loop: Points) -> float:
    j, i = loop.T
    return float(abs(j @ np.roll(i, -1) - i @ np.roll(j, -1)) / 2)


def _with_keyholes(loops: Sequence[Points]) -> Points:
    joined = loops[0]
    for hole in loops[1:]:
        distances, places = KDTree(joined).query(hole)
        there = int(np.argmin(distances))
        here = int(places[there])
        around = np.roll(hole, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], around, around[:1], joined[here:]])
    return joined

"""Large images in three parts along the body, as TotalSegmentator predicts them; the seams are part of its result."""

from dataclasses import dataclass
from math import prod

from ...models.totalsegmentator.tasks import Task

_LARGE = 512 * 512 * 900

_LONG = 200

_MARGIN = 20


@dataclass(frozen=True)
class Piece:
    """Slices along the body: what the network sees, what of that is kept, and where it goes."""

    seen: slice
    kept: slice
    target: slice


def pieces_of(shape: tuple[int, ...], task: Task) -> list[Piece]:
    """One piece, or three where the image is large, long, and there are several networks; `shape` is (I, J, K)."""
    slices = shape[2]
    if not task.merged or task.cascaded or prod(shape) <= _LARGE or slices <= _LONG:
        return [Piece(slice(None), slice(None), slice(None))]
    third = slices // 3
    return [
        Piece(slice(0, third + _MARGIN), slice(0, third), slice(0, third)),
        Piece(slice(third + 1 - _MARGIN, 2 * third + _MARGIN), slice(_MARGIN - 1, -_MARGIN), slice(third, 2 * third)),
        Piece(slice(2 * third + 1 - _MARGIN, slices), slice(_MARGIN - 1, None), slice(2 * third, slices)),
    ]

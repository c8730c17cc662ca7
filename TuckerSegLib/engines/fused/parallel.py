"""Work on many things alike, such as the rows of a matrix, tile by tile: several tiles at once, each on one core.

Operations on a tile take microseconds. To split each over the cores would cost more than it saves, and far more on a
computer that is busy with something else; so the tiles are split over the cores instead.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch
from torch import Tensor

from ...threads import set_threads

_BYTES = 1 << 20
"""Bytes of the widest matrix that a tile takes, so that it stays in a core's cache."""

_FEWEST = 256
"""Rows of a tile."""

_TILES_A_CORE = 8
"""So that a core that is held up leaves its share to the others."""

Work = Callable[[Iterator[slice], int], None]
"""Does all the parts it is given, none longer than the number."""

Sums = Callable[[Tensor], Tensor]
"""Makes of some rows of a matrix (sums, channels), in double precision."""


def run(work: Work, matrix: Tensor, width: int | None = None) -> None:
    """Have `work` done on all rows of `matrix`, by one call a core.

    `width` is that of the widest matrix that has to fit into a core's cache; without one the tiles are few and large.
    """
    most = _BYTES // (width * matrix.element_size()) if width else share_of_a_core(len(matrix))
    share(work, len(matrix), max(most, _FEWEST))


def mean(matrix: Tensor, sums_of: Callable[[int], Sums], width: int | None = None) -> Tensor:
    """The sums over all rows, divided by their number.

    `sums_of` gives what makes the sums of a tile of at most so many rows; `width` is that of `run`.
    """
    sums: dict[int, Tensor] = {}

    def work(parts: Iterator[slice], rows: int) -> None:
        tile_sums = sums_of(rows)
        for here in parts:
            sums[here.start] = tile_sums(matrix[here])

    run(work, matrix, width)
    return in_order(sums) / len(matrix)


def in_order(sums: Mapping[int, Tensor]) -> Tensor:
    """The total of what tiles came to, by their beginnings: the same to the bit, whichever was done first."""
    return torch.stack([sums[start] for start in sorted(sums)]).sum(0)


def share_of_a_core(count: int) -> int:
    """How many of `count` things a core does at a time where they need not fit into its cache."""
    return count // (torch.get_num_threads() * _TILES_A_CORE)


def share(work: Work, count: int, most: int) -> None:
    """Have `work` done on `count` things, `most` of them at a time, by one call a core."""
    turns = -(-count // most)
    if turns > 1:  # as many for each core
        turns = -(-turns // torch.get_num_threads()) * torch.get_num_threads()
        most = -(-count // turns)
    parts = iter([slice(start, min(start + most, count)) for start in range(0, count, most)])
    callers = min(torch.get_num_threads(), turns)
    if callers == 1:
        work(parts, most)
        return
    list(_pool(torch.get_num_threads()).map(lambda _: _alone(work, parts, most), range(callers)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads whose operations take one core each.

    The number they set is that of all threads to come, so it is set back.
    """
    pool = ThreadPoolExecutor(threads, "tiles", initializer=lambda: set_threads(1))
    all_there = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(all_there.wait)
    all_there.wait()
    set_threads(threads)
    return pool


def _alone(work: Work, parts: Iterator[slice], most: int) -> None:
    with torch.inference_mode():
        work(parts, most)

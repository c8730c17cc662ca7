"""The one matrix product of all kernels: a few rows times a few vectors of columns, their sums in registers throughout.

Matrix products as narrow as a Tucker rank run at a fraction of a processor's speed in libraries made for large ones.
"""

from collections.abc import Sequence
from typing import Any

from .llvm import Writer, registers


def rows_at_once(vectors: int) -> int:
    """Rows whose sums fill the registers, where each has so many vectors of them."""
    return registers() // vectors


def product(
    write: Writer,
    left: Any,
    stride: int,
    matrix: Any,
    line: int,
    inner: int,
    begin: Sequence[Any],
    rows: int,
    turns: int,
) -> list[Any]:
    """`rows` rows of `left`, `stride` numbers apart, times some columns of a matrix (inner, line), added to `begin`.

    `matrix` points at the first of the columns, of which the vectors in `begin` take as many as they have lanes, side
    by side. The result holds such vectors for the first row, then for the second and so on. `turns` of the innermost
    loop, a divisor of `inner`, are written out.
    """
    lanes = [value.type.count for value in begin]
    offsets = [sum(lanes[:position]) for position in range(len(lanes))]
    with write.loop(write.whole(0), write.whole(inner), turns, list(begin) * rows) as (index, sums):
        columns, seen = write.place(matrix, write.times(index, line)), write.place(left, index)
        for turn in range(turns):
            factors = [
                write.read(columns, turn * line + offset, each) for offset, each in zip(offsets, lanes, strict=True)
            ]
            for row in range(rows):
                for position, factor in enumerate(factors):
                    one = write.spread(seen, turn + row * stride, factor.type.count)
                    where = row * len(lanes) + position
                    sums[where] = write.plus_product(sums[where], one, factor)
    return sums

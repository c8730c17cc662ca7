"""The fused block's inner loops, each compiled for its numbers of channels when it is needed.

All matrices are row by row, (voxels, channels), in single precision.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .llvm import Writer, compiled, padded_width, registers, vectors
from .product import product, rows_at_once

_TOGETHER = 2
"""Vectors of columns that a row is multiplied with at once."""

_RUN = 256
"""Rows that are summed one after the other."""


class BlockKernel:
    """For each row z: y = leaky(z weight + shift), and of each of `widths` y next + bias; 0 stands for y itself.

    Args:
        rank: channels of z; `channels`: of y.
        slope: of the LeakyReLU, for negative values.
    """

    def __init__(self, rank: int, channels: int, slope: float, widths: tuple[int, ...]) -> None:
        self._call, self._module = compiled(_block_source, 1, 3 + 3 * len(widths), rank, channels, slope, widths)

    def __call__(
        self, z: Tensor, weight: Tensor, shift: Tensor, nexts: Sequence[tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        """`weight` and `shift` are `padded`, as are the first two of each of `nexts`: matrix, bias and answer."""
        pointers = [tensor.data_ptr() for tensor in (z, weight, shift, *(t for three in nexts for t in three))]
        self._call(len(z), *pointers)


class SumsKernel:
    """Sums over the rows of a matrix, `rows` of them for each channel."""

    def __init__(self, source: Callable[..., None], channels: int, rows: int) -> None:
        self.rows = rows
        self._call, self._module = compiled(source, 1, 3, channels)

    def __call__(self, matrix: Tensor, about: Tensor, sums: Tensor) -> None:
        """`about` is `padded`; `sums` (rows, padded width) is overwritten."""
        self._call(len(matrix), matrix.data_ptr(), about.data_ptr(), sums.data_ptr())


def moments_kernel(rank: int) -> SumsKernel:
    """Sums of z_j - a_j, and for each i of z_i (z_j - a_j), for a given a."""
    return SumsKernel(_moments_source, rank, 1 + rank)


def spread_kernel(channels: int) -> SumsKernel:
    """Sums of y_j - a_j, and of (y_j - a_j)^2, for a given a."""
    return SumsKernel(_spread_source, channels, 2)


class ActivationKernel:
    """Every row y becomes leaky(y scale + shift), where it is; `slope` is the LeakyReLU's for negative values."""

    def __init__(self, channels: int, slope: float) -> None:
        self._call, self._module = compiled(_activation_source, 1, 3, channels, slope)

    def __call__(self, y: Tensor, scale: Tensor, shift: Tensor) -> None:
        """`scale` and `shift` are `padded`."""
        self._call(len(y), y.data_ptr(), scale.data_ptr(), shift.data_ptr())


def padded(matrix: Tensor) -> Tensor:
    """With zeros at the end of its rows, so that whole vectors can be read."""
    width = padded_width(matrix.shape[-1])
    return torch.nn.functional.pad(matrix, (0, width - matrix.shape[-1])).contiguous()


def _rows(write: Writer, count: Any, several: int, body: Callable[[Any, int], None]) -> None:
    """`body(row, how many)` for `several` rows at a time, and for those that are left one by one."""
    whole = write.at.mul(write.at.sdiv(count, write.whole(several)), write.whole(several))
    some = write.at.icmp_signed(">", whole, write.whole(0))
    with write.at.if_then(some), write.loop(write.whole(0), whole, several, []) as (row, _):
        body(row, several)
    rest = write.at.icmp_signed("<", whole, count)
    with write.at.if_then(rest), write.loop(whole, count, 1, []) as (row, _):
        body(row, 1)


def _block_source(
    write: Writer, arguments: Sequence[Any], rank: int, channels: int, slope: float, widths: tuple[int, ...]
) -> None:
    count, z, weight, shift, *nexts = arguments
    several = rows_at_once(_TOGETHER)
    stride = padded_width(channels)
    scratch = write.at.alloca(write.number, several * stride)

    def rows(row: Any, number: int) -> None:
        here = write.place(z, write.at.mul(row, write.whole(rank)))

        def activate(value: Any, voxel: int, offset: int) -> None:
            value = _leaky(write, value, slope)
            write.write(value, scratch, voxel * stride + offset, value.type.count)
            for index, width in enumerate(widths):
                if not width and offset < channels:
                    start = write.at.add(
                        write.at.mul(row, write.whole(channels)), write.whole(voxel * channels + offset)
                    )
                    write.write(value, nexts[3 * index + 2], start, channels - offset)

        _columns_by_pairs(write, here, rank, rank, weight, shift, channels, number, activate)
        for index, width in enumerate(widths):
            if width:
                matrix, bias, answer = nexts[3 * index : 3 * index + 3]
                there = write.place(answer, write.at.mul(row, write.whole(width)))

                def store(value: Any, voxel: int, offset: int, there: Any = there, width: int = width) -> None:
                    write.write(value, there, voxel * width + offset, width - offset)

                _columns_by_pairs(write, scratch, stride, channels, matrix, bias, width, number, store)

    _rows(write, count, several, rows)


def _leaky(write: Writer, value: Any, slope: float) -> Any:
    lanes = value.type.count
    below = write.at.fcmp_ordered("<", value, write.zeros(lanes))
    return write.at.select(below, write.at.fmul(value, write.all(slope, lanes)), value)


def _columns_by_pairs(
    write: Writer,
    left: Any,
    stride: int,
    inner: int,
    matrix: Any,
    bias: Any,
    width: int,
    rows: int,
    done: Callable[[Any, int, int], None],
) -> None:
    """`rows` rows of left times matrix (inner, padded width) plus bias: `done(vector, row, offset of its columns)`."""
    found, line = vectors(width), padded_width(width)
    for first in range(0, len(found), _TOGETHER):
        several = found[first : first + _TOGETHER]
        begin = [write.read(bias, offset, lanes) for offset, lanes in several]
        columns = write.place(matrix, several[0][0])
        for where, value in enumerate(product(write, left, stride, columns, line, inner, begin, rows, turns=1)):
            row, position = divmod(where, len(several))
            done(value, row, several[position][0])


@contextmanager
def _centred_rows(
    write: Writer, arguments: Sequence[Any], width: int, vector: tuple[int, int], sums: int
) -> Iterator[tuple[Any, Any, list[Any]]]:
    """A loop over all rows: where the row begins, a vector of it less the same of `about`, and so many sums.

    Rows are summed a run at a time, and the runs then: equal rows, such as those of air, are all rounded the same way,
    so that one long sum would drift.
    """
    count, matrix, about, _ = arguments
    offset, lanes = vector
    centre, zeros = write.read(about, offset, lanes), [write.zeros(lanes)] * sums
    with write.loop(write.whole(0), count, _RUN, zeros) as (first, totals):
        stop = write.smaller(write.plus(first, _RUN), count)
        with write.loop(first, stop, 1, zeros) as (row, run):
            line = write.at.mul(row, write.whole(width))
            values = write.read(matrix, write.plus(line, offset), lanes, width - offset)
            yield line, write.at.fsub(values, centre), run
        totals[:] = [write.at.fadd(total, part) for total, part in zip(totals, run, strict=True)]
    run[:] = totals


def _moments_source(write: Writer, arguments: Sequence[Any], rank: int) -> None:
    _, z, _, sums = arguments
    width = padded_width(rank)
    for offset, lanes in vectors(rank):
        for first in range(-1, rank, registers()):
            channels = range(first, min(first + registers(), rank))
            with _centred_rows(write, arguments, rank, (offset, lanes), len(channels)) as (line, values, totals):
                for index, channel in enumerate(channels):
                    if channel < 0:
                        totals[index] = write.at.fadd(totals[index], values)
                    else:
                        one = write.spread(z, write.at.add(line, write.whole(channel)), lanes)
                        totals[index] = write.plus_product(totals[index], one, values)
            for index, channel in enumerate(channels):
                write.write(totals[index], sums, (channel + 1) * width + offset, lanes)


def _spread_source(write: Writer, arguments: Sequence[Any], channels: int) -> None:
    *_, sums = arguments
    width = padded_width(channels)
    for offset, lanes in vectors(channels):
        with _centred_rows(write, arguments, channels, (offset, lanes), 2) as (_, values, totals):
            totals[0] = write.at.fadd(totals[0], values)
            totals[1] = write.plus_product(totals[1], values, values)
        for index, total in enumerate(totals):
            write.write(total, sums, index * width + offset, lanes)


def _activation_source(write: Writer, arguments: Sequence[Any], channels: int, slope: float) -> None:
    count, y, scale, shift = arguments
    with write.loop(write.whole(0), count, 1, []) as (row, _):
        line = write.at.mul(row, write.whole(channels))
        for offset, lanes in vectors(channels):
            values = write.read(y, write.plus(line, offset), lanes, channels - offset)
            values = write.plus_product(write.read(shift, offset, lanes), values, write.read(scale, offset, lanes))
            place = write.at.add(line, write.whole(offset))
            write.write(_leaky(write, values, slope), y, place, channels - offset)

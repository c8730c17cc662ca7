"""3x3x3 convolutions with fewer multiplications: Winograd's algorithm along the two slower axes.

Along one axis, two neighbouring outputs of a filter of three taps are made from four products instead of six (Lavin and
Gray, arXiv:1509.09308, section 4.1). Along two axes, 2 x 2 outputs come from 4 x 4 inputs by 16 products instead of 36;
the third axis stays as it is, so that each of the 16 is a matrix product over whole lines of the image:

    a line of 16 transformed inputs (voxels + 2, C)  ->  (voxels, 3 C) times (3 C, O)  ->  2 x 2 lines of outputs.

That is 2.25 times less arithmetic. What lies in between stays in a core's cache. The rounding is about a convolution's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import parallel
from ..channels_last import channels_last, empty
from .llvm import Writer, available, compiled, lanes_of_a_vector, padded_width, vectors
from .product import product, rows_at_once

_POINTS = 16
"""Products for 2 x 2 outputs."""

_UNROLLED = 4
"""Turns of the innermost loop at once; divides the width of every padded row."""

_BYTES = 600_000
"""Bytes of transformed inputs and products at a time, so that they stay in a core's cache."""

_ROWS = 64
"""Rows of a matrix product at least, so that its weights are worth reading."""

_WORTH_A_LOOP = 4
"""Turns of the loop over places at least: the last of a few would be a small one."""

_FEWEST_CHANNELS = 8

_FILTER = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def suits_winograd(module: Any) -> bool:
    """Whether it is a convolution that this is made for, where there is llvmlite."""
    return (
        isinstance(module, nn.Conv3d)
        and module.kernel_size == (3, 3, 3)
        and module.stride == module.dilation == (1, 1, 1)
        and module.padding in (1, (1, 1, 1), "same")
        and module.padding_mode == "zeros"
        and module.groups == 1
        and min(module.in_channels, module.out_channels) >= _FEWEST_CHANNELS
        and available()
    )


class Winograd(nn.Module):
    """What a convolution that `suits_winograd` does, (N, C, K, J, I) to (N, O, K, J, I), channels last in memory."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self._outputs, self._channels = layer.out_channels, layer.in_channels
        bias = layer.weight.new_zeros(self._outputs) if layer.bias is None else layer.bias.detach()
        self.register_buffer("weight", _transformed(layer.weight.detach()))
        self.register_buffer("bias", functional.pad(bias, (0, padded_width(self._outputs) - self._outputs)))
        self._call, self._module = compiled(_source, 6, 8, self._channels, self._outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(x)
        answer = empty(x, self._outputs)
        for image, made in zip(x, answer, strict=True):
            self._one(image, made)
        return answer

    def _one(self, x: Tensor, answer: Tensor) -> None:
        *_, voxels = size = x.shape[1:]
        places = -(-size[0] // 2) * -(-size[1] // 2)
        seen = _POINTS * (max(voxels, _rows()) + 2) * padded_width(self._channels)
        made = _POINTS * (max(voxels, _rows()) + 1) * padded_width(self._outputs)
        together = max(_BYTES // ((seen + made) * x.element_size()), -(-_ROWS // voxels))

        def work(parts: Iterator[slice], most: int) -> None:
            turns = -(-most // together)
            at_once = -(-most // turns)
            room = [x.new_zeros(at_once * seen), x.new_empty(at_once * made)]
            margins = [x.new_zeros(voxels * self._channels), x.new_empty(voxels * self._outputs)]
            pointers = [tensor.data_ptr() for tensor in (x, self.weight, self.bias, answer, *room, *margins)]
            for here in parts:
                self._call(here.start, here.stop, *size, at_once, *pointers)

        many = parallel.share_of_a_core(places)
        parallel.share(work, places, many if many >= _WORTH_A_LOOP * together else together)


def _transformed(weight: Tensor) -> Tensor:
    """(O, C, 3, 3, 3) as a matrix (3 C, O) for each of the products, its columns in panels as the kernel reads them."""
    outputs, channels = weight.shape[:2]
    filters = weight.new_tensor(_FILTER, dtype=torch.float64)
    products = torch.einsum("ak,bj,ockji->abico", filters, filters, weight.double())
    pads = (0, padded_width(outputs) - outputs, 0, padded_width(channels) - channels)
    matrices = functional.pad(products.to(weight.dtype), pads).flatten(2, 3).flatten(0, 1)
    panels = matrices.split_with_sizes(_widths(outputs), 2)
    return torch.cat([panel.flatten(1) for panel in panels], 1)


def _panels(outputs: int) -> tuple[int, list[int]]:
    """Vectors whose sums are held in registers at once: how many pairs of whole ones, and the lanes of what is left."""
    lanes = [lanes for _, lanes in vectors(outputs)]
    alike = outputs // (2 * lanes_of_a_vector())
    return alike, lanes[2 * alike :]


def _widths(outputs: int) -> list[int]:
    alike, last = _panels(outputs)
    return [2 * lanes_of_a_vector()] * alike + ([sum(last)] if last else [])


def _rows() -> int:
    """Voxels whose sums are held in registers at once."""
    return rows_at_once(2)


def _source(write: Writer, arguments: Sequence[Any], channels: int, outputs: int) -> None:
    """Places `first` to `last` of an image of `slices` x `lines` x `voxels`, each of them 2 x 2 lines of the answer.

    So many `at_once`, which there is room for; `nothing` is a line of zeros, and `nowhere` takes what lies outside.
    """
    first, last, *sizes, at_once = arguments[:6]
    with write.loop(first, last, at_once, []) as (start, _):
        count = write.smaller(write.at.sub(last, start), at_once)
        kernel = _Kernel(write, start, count, sizes, at_once, arguments[6:], channels, outputs)
        kernel.transform()
        kernel.multiply()
        kernel.transform_back()


class _Kernel:
    """The three steps that `_source` writes one after the other."""

    def __init__(
        self,
        write: Writer,
        first: Any,
        count: Any,
        sizes: Sequence[Any],
        room: Any,
        pointers: Sequence[Any],
        channels: int,
        outputs: int,
    ) -> None:
        self._write, self._channels, self._outputs = write, channels, outputs
        self._first, self._count = first, count
        self._slices, self._lines, self._voxels = sizes
        self._x, self._weight, self._bias, self._y, self._seen, self._made, self._nothing, self._nowhere = pointers
        self._across, self._down = padded_width(channels), padded_width(outputs)
        short = write.at.icmp_signed("<", self._voxels, write.whole(_rows()))
        self._wide = write.at.select(short, write.whole(_rows()), self._voxels)
        # One line more than is used, so that the 16 do not compete for the same places of the cache.
        self._seen_line = write.times(write.plus(self._wide, 2), self._across)
        self._made_line = write.times(write.plus(self._wide, 1), self._down)
        self._seen_point, self._made_point = write.times(room, self._seen_line), write.times(room, self._made_line)

    def transform(self) -> None:
        write = self._write
        with self._each_place() as (place, slice_, line):
            lines = [
                self._line(self._x, self._nothing, slice_, line, k - 1, j - 1, self._channels) for k, j in _grid(4)
            ]
            into = write.place(self._seen, write.plus(write.times(place, self._seen_line), self._across))
            with write.loop(write.whole(0), self._voxels, 1, []) as (voxel, _):
                start, to = write.times(voxel, self._channels), write.times(voxel, self._across)

                def vector(offset: Any, lanes: int, kept: int) -> None:
                    found = [write.read(one, write.plus(start, offset), lanes, kept) for one in lines]
                    for point, value in enumerate(_both_axes(found, self._of_inputs)):
                        there = write.plus(write.plus(to, offset), write.times(self._seen_point, point))
                        write.write(value, into, there, lanes)

                self._each_vector(self._channels, vector)

    def multiply(self) -> None:
        write = self._write
        with write.loop(write.whole(0), write.whole(_POINTS), 1, []) as (point, _):
            seen = write.place(self._seen, write.times(point, self._seen_point))
            made = write.place(self._made, write.times(point, self._made_point))
            weight = write.place(self._weight, write.times(point, 3 * self._across * self._down))

            def panel(first: Any, lanes: list[int]) -> None:
                matrix = write.place(weight, write.times(first, 3 * self._across))
                with write.loop(write.whole(0), self._count, 1, []) as (place, _):
                    left = write.place(seen, write.times(place, self._seen_line))
                    right = write.place(made, write.plus(write.times(place, self._made_line), first))
                    with write.loop(write.whole(0), self._wide, _rows(), []) as (start, _):
                        self._product(left, matrix, right, self._within(start), lanes)

            alike, last = _panels(self._outputs)
            if alike:
                lanes = [lanes_of_a_vector()] * 2
                with write.loop(write.whole(0), write.whole(alike), 1, []) as (number, _):
                    panel(write.times(number, sum(lanes)), lanes)
            if last:
                panel(write.whole(self._down - sum(last)), last)

    def transform_back(self) -> None:
        write = self._write
        with self._each_place() as (place, slice_, line):
            lines = [self._line(self._y, self._nowhere, slice_, line, k, j, self._outputs) for k, j in _grid(2)]
            source = write.place(self._made, write.times(place, self._made_line))
            with write.loop(write.whole(0), self._voxels, 1, []) as (voxel, _):
                start, at = write.times(voxel, self._outputs), write.times(voxel, self._down)

                def vector(offset: Any, lanes: int, kept: int) -> None:
                    here = write.plus(at, offset)
                    points = [write.plus(here, write.times(self._made_point, point)) for point in range(_POINTS)]
                    found = [write.read(source, point, lanes) for point in points]
                    bias = write.read(self._bias, offset, lanes)
                    for one, value in zip(lines, _both_axes(found, self._of_products), strict=True):
                        write.write(write.at.fadd(value, bias), one, write.plus(start, offset), kept)

                self._each_vector(self._outputs, vector)

    def _product(self, left: Any, matrix: Any, made: Any, row: Any, lanes: list[int]) -> None:
        """Rows from `row` on of the matrix whose rows are three voxels each, and begin one voxel apart."""
        write = self._write
        left, inner = write.place(left, write.times(row, self._across)), 3 * self._across
        begin = [write.zeros(each) for each in lanes]
        sums = product(write, left, self._across, matrix, sum(lanes), inner, begin, _rows(), _UNROLLED)
        to = write.place(made, write.times(row, self._down))
        for where, value in enumerate(sums):
            voxel, position = divmod(where, len(lanes))
            write.write(value, to, voxel * self._down + sum(lanes[:position]), lanes[position])

    def _each_vector(self, width: int, body: Callable[[Any, int, int], None]) -> None:
        """`body(offset, lanes, how many of them belong to the row)` for the vectors of a row of `width`."""
        lanes = lanes_of_a_vector()
        whole = width // lanes * lanes
        if whole:
            with self._write.loop(self._write.whole(0), self._write.whole(whole), lanes, []) as (offset, _):
                body(offset, lanes, lanes)
        for last, fewer in vectors(width)[whole // lanes :]:
            body(self._write.whole(last), fewer, width - last)

    def _within(self, start: Any) -> Any:
        """Where so many rows at once begin, the last of them with some that were there before."""
        return self._write.smaller(start, self._write.plus(self._wide, -_rows()))

    @contextmanager
    def _each_place(self) -> Iterator[tuple[Any, Any, Any]]:
        """Which one it is of those done now, and the slice and the line where it begins."""
        write = self._write
        across = write.at.sdiv(write.plus(self._lines, 1), write.whole(2))
        with write.loop(write.whole(0), self._count, 1, []) as (place, _):
            number = write.plus(self._first, place)
            slice_, line = write.at.sdiv(number, across), write.at.srem(number, across)
            yield place, write.times(slice_, 2), write.times(line, 2)

    def _line(self, image: Any, otherwise: Any, slice_: Any, line: Any, down: int, across: int, width: int) -> Any:
        """A line of `image`, so many slices down and lines across; `otherwise` where there is none."""
        write = self._write
        slice_, line = write.plus(slice_, down), write.plus(line, across)
        number = write.plus(write.times(slice_, self._lines), line)
        there = write.place(image, write.times(write.times(number, self._voxels), width))
        inside = write.at.and_(self._is_below(slice_, self._slices), self._is_below(line, self._lines))
        return write.at.select(inside, there, otherwise)

    def _is_below(self, index: Any, count: Any) -> Any:
        """Whether it is, and not negative."""
        return self._write.at.icmp_unsigned("<", index, count)

    def _of_inputs(self, d: Sequence[Any]) -> list[Any]:
        plus, minus = self._write.at.fadd, self._write.at.fsub
        return [minus(d[0], d[2]), plus(d[1], d[2]), minus(d[2], d[1]), minus(d[1], d[3])]

    def _of_products(self, m: Sequence[Any]) -> list[Any]:
        plus, minus = self._write.at.fadd, self._write.at.fsub
        return [plus(plus(m[0], m[1]), m[2]), minus(minus(m[1], m[2]), m[3])]


def _grid(side: int) -> list[tuple[int, int]]:
    return [(k, j) for k in range(side) for j in range(side)]


def _both_axes(values: Sequence[Any], transform: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
    """A 4 x 4 matrix, row by row, transformed along both of its axes."""
    rows = [transform(values[start : start + 4]) for start in range(0, 16, 4)]
    columns = [transform(column) for column in zip(*rows, strict=True)]
    return [value for row in zip(*columns, strict=True) for value in row]

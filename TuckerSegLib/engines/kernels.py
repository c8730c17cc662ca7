"""The fused block's inner loops, written for this very processor when they are needed, by LLVM (llvmlite).

Matrix products as narrow as a Tucker rank run at a fraction of a processor's speed in libraries made for large ones.
A kernel here is made for its numbers of channels; it holds a few voxels' results in registers throughout. All
matrices are row by row, (voxels, channels), in single precision.
"""

import ctypes
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

_FLOAT = 4


def available() -> bool:
    """Whether llvmlite is installed."""
    return importlib.util.find_spec("llvmlite") is not None


class BlockKernel:
    """For each row z: y = leaky(z weight + shift), and of each of `widths` y next + bias; 0 stands for y itself.

    Args:
        rank: channels of z; `channels`: of y.
        slope: of the LeakyReLU, for negative values.
    """

    def __init__(self, rank: int, channels: int, slope: float, widths: tuple[int, ...]) -> None:
        self._call, self._module = _compiled(_block_source, rank, channels, slope, widths)

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
        self._call, self._module = _compiled(source, channels)

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
        self._call, self._module = _compiled(_activation_source, channels, slope)

    def __call__(self, y: Tensor, scale: Tensor, shift: Tensor) -> None:
        """`scale` and `shift` are `padded`."""
        self._call(len(y), y.data_ptr(), scale.data_ptr(), shift.data_ptr())


def padded(matrix: Tensor) -> Tensor:
    """With zeros at the end of its rows, so that whole vectors can be read."""
    width = _padded(matrix.shape[-1])
    return torch.nn.functional.pad(matrix, (0, width - matrix.shape[-1])).contiguous()


def _padded(width: int) -> int:
    return sum(lanes for _, lanes in _vectors(width))


def _vectors(width: int) -> list[tuple[int, int]]:
    """Offsets and lanes of the vectors that cover `width` numbers: the processor's, the last a smaller power of two."""
    lanes = _lanes()
    whole, rest = width // lanes * lanes, width % lanes
    last = [(whole, max(4, 1 << (rest - 1).bit_length()))] if rest else []
    return [(offset, lanes) for offset in range(0, whole, lanes)] + last


@cache
def _lanes() -> int:
    features = _features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


@cache
def _features() -> dict[str, bool]:
    import llvmlite.binding as llvm

    return dict(llvm.get_host_cpu_features())


def _registers() -> int:
    """Vectors that sums may take; the rest is for what is added."""
    return 8 if _lanes() == 8 else 16


class _Writer:
    """LLVM's own language, a little shorter."""

    def __init__(self, builder: Any) -> None:
        from llvmlite import ir

        self.ir, self.at = ir, builder
        self.index, self.number = ir.IntType(64), ir.FloatType()

    def whole(self, value: int) -> Any:
        return self.ir.Constant(self.index, value)

    def vector(self, lanes: int) -> Any:
        return self.ir.VectorType(self.number, lanes)

    def zeros(self, lanes: int) -> Any:
        return self.ir.Constant(self.vector(lanes), [0.0] * lanes)

    def all(self, value: float, lanes: int) -> Any:
        return self.ir.Constant(self.vector(lanes), [value] * lanes)

    def place(self, pointer: Any, offset: Any) -> Any:
        return self.at.gep(pointer, [offset if not isinstance(offset, int) else self.whole(offset)])

    def read(self, pointer: Any, offset: Any, lanes: int) -> Any:
        where = self.at.bitcast(self.place(pointer, offset), self.vector(lanes).as_pointer())
        return self.at.load(where, align=_FLOAT)

    def spread(self, pointer: Any, offset: Any, lanes: int) -> Any:
        """One number in all lanes."""
        one = self.at.insert_element(
            self.ir.Constant(self.vector(lanes), self.ir.Undefined),
            self.at.load(self.place(pointer, offset), align=_FLOAT),
            self.ir.Constant(self.ir.IntType(32), 0),
        )
        mask = self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), lanes), [0] * lanes)
        return self.at.shuffle_vector(one, one, mask)

    def write(self, value: Any, pointer: Any, offset: Any, kept: int) -> None:
        """The first `kept` lanes."""
        lanes = value.type.count
        where = self.at.bitcast(self.place(pointer, offset), value.type.as_pointer())
        if kept >= lanes:
            self.at.store(value, where, align=_FLOAT)
            return
        bits = self.ir.VectorType(self.ir.IntType(1), lanes)
        kind = self.ir.FunctionType(self.ir.VoidType(), [value.type, where.type, self.ir.IntType(32), bits])
        masked = self._declared(f"llvm.masked.store.v{lanes}f32.p0", kind)
        mask = self.ir.Constant(bits, [int(lane < kept) for lane in range(lanes)])
        self.at.call(masked, [value, where, self.ir.Constant(self.ir.IntType(32), _FLOAT), mask])

    def _declared(self, name: str, kind: Any) -> Any:
        known = self.at.module.globals
        return known[name] if name in known else self.ir.Function(self.at.module, kind, name)

    def plus_product(self, total: Any, left: Any, right: Any) -> Any:
        return self.at.fadd(total, self.at.fmul(left, right, flags=["contract"]), flags=["contract"])

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int, sums: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
        """`for index in range(start, stop, step)`, of at least one turn.

        What it yields is (index, the sums so far); the body puts new sums into that list, which holds the final ones
        afterwards.
        """
        before = self.at.block
        body = self.at.append_basic_block()
        self.at.branch(body)
        self.at.position_at_end(body)
        index = self.at.phi(self.index)
        index.add_incoming(start, before)
        phis = []
        for value in sums:
            phi = self.at.phi(value.type)
            phi.add_incoming(value, before)
            phis.append(phi)
        current = list(phis)
        yield index, current
        following = self.at.add(index, self.whole(step))
        last = self.at.block
        index.add_incoming(following, last)
        for phi, value in zip(phis, current, strict=True):
            phi.add_incoming(value, last)
        after = self.at.append_basic_block()
        self.at.cbranch(self.at.icmp_signed("<", following, stop), body, after)
        self.at.position_at_end(after)


def _rows(write: _Writer, count: Any, several: int, body: Callable[[Any, int], None]) -> None:
    """`body(row, how many)` for `several` rows at a time, and for those that are left one by one."""
    whole = write.at.mul(write.at.sdiv(count, write.whole(several)), write.whole(several))
    some = write.at.icmp_signed(">", whole, write.whole(0))
    with write.at.if_then(some), write.loop(write.whole(0), whole, several, []) as (row, _):
        body(row, several)
    rest = write.at.icmp_signed("<", whole, count)
    with write.at.if_then(rest), write.loop(whole, count, 1, []) as (row, _):
        body(row, 1)


def _block_source(
    write: _Writer, arguments: Sequence[Any], rank: int, channels: int, slope: float, widths: tuple[int, ...]
) -> None:
    count, z, weight, shift, *nexts = arguments
    several = _registers() // 2
    stride = _padded(channels)
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

        _product(write, here, rank, rank, weight, shift, channels, number, activate)
        for index, width in enumerate(widths):
            if width:
                matrix, bias, answer = nexts[3 * index : 3 * index + 3]
                there = write.place(answer, write.at.mul(row, write.whole(width)))

                def store(value: Any, voxel: int, offset: int, there: Any = there, width: int = width) -> None:
                    write.write(value, there, voxel * width + offset, width - offset)

                _product(write, scratch, stride, channels, matrix, bias, width, number, store)

    _rows(write, count, several, rows)


def _leaky(write: _Writer, value: Any, slope: float) -> Any:
    lanes = value.type.count
    below = write.at.fcmp_ordered("<", value, write.zeros(lanes))
    return write.at.select(below, write.at.fmul(value, write.all(slope, lanes)), value)


def _product(
    write: _Writer,
    left: Any,
    stride: int,
    inner: int,
    matrix: Any,
    bias: Any,
    width: int,
    number: int,
    done: Callable[[Any, int, int], None],
) -> None:
    """`number` rows of left (stride apart) times matrix (inner, padded width) plus bias, two vectors at a time."""
    vectors, padded_width = _vectors(width), _padded(width)
    for first in range(0, len(vectors), 2):
        pair = vectors[first : first + 2]
        begin = [write.read(bias, offset, lanes) for offset, lanes in pair] * number
        with write.loop(write.whole(0), write.whole(inner), 1, begin) as (index, sums):
            line = write.at.mul(index, write.whole(padded_width))
            factors = [write.read(matrix, write.at.add(line, write.whole(offset)), lanes) for offset, lanes in pair]
            for voxel in range(number):
                place = write.at.add(index, write.whole(voxel * stride))
                for position, factor in enumerate(factors):
                    spread = write.spread(left, place, factor.type.count)
                    where = voxel * len(pair) + position
                    sums[where] = write.plus_product(sums[where], spread, factor)
        for where, value in enumerate(sums):
            done(value, where // len(pair), pair[where % len(pair)][0])


@contextmanager
def _centred_rows(
    write: _Writer, arguments: Sequence[Any], width: int, vector: tuple[int, int], sums: int
) -> Iterator[tuple[Any, Any, list[Any]]]:
    """A loop over all rows: where the row begins, a vector of it less the same of `about`, and so many sums."""
    count, matrix, about, _ = arguments
    offset, lanes = vector
    centre = write.read(about, offset, lanes)
    with write.loop(write.whole(0), count, 1, [write.zeros(lanes)] * sums) as (row, totals):
        line = write.at.mul(row, write.whole(width))
        values = _read_within(write, matrix, line, offset, lanes, width)
        yield line, write.at.fsub(values, centre), totals


def _moments_source(write: _Writer, arguments: Sequence[Any], rank: int) -> None:
    _, z, _, sums = arguments
    width = _padded(rank)
    for offset, lanes in _vectors(rank):
        for first in range(-1, rank, _registers()):
            channels = range(first, min(first + _registers(), rank))
            with _centred_rows(write, arguments, rank, (offset, lanes), len(channels)) as (line, values, totals):
                for index, channel in enumerate(channels):
                    if channel < 0:
                        totals[index] = write.at.fadd(totals[index], values)
                    else:
                        one = write.spread(z, write.at.add(line, write.whole(channel)), lanes)
                        totals[index] = write.plus_product(totals[index], one, values)
            for index, channel in enumerate(channels):
                write.write(totals[index], sums, (channel + 1) * width + offset, lanes)


def _spread_source(write: _Writer, arguments: Sequence[Any], channels: int) -> None:
    *_, sums = arguments
    width = _padded(channels)
    for offset, lanes in _vectors(channels):
        with _centred_rows(write, arguments, channels, (offset, lanes), 2) as (_, values, totals):
            totals[0] = write.at.fadd(totals[0], values)
            totals[1] = write.plus_product(totals[1], values, values)
        for index, total in enumerate(totals):
            write.write(total, sums, index * width + offset, lanes)


def _activation_source(write: _Writer, arguments: Sequence[Any], channels: int, slope: float) -> None:
    count, y, scale, shift = arguments
    with write.loop(write.whole(0), count, 1, []) as (row, _):
        line = write.at.mul(row, write.whole(channels))
        for offset, lanes in _vectors(channels):
            values = _read_within(write, y, line, offset, lanes, channels)
            values = write.plus_product(write.read(shift, offset, lanes), values, write.read(scale, offset, lanes))
            place = write.at.add(line, write.whole(offset))
            write.write(_leaky(write, values, slope), y, place, channels - offset)


def _read_within(write: _Writer, z: Any, line: Any, offset: int, lanes: int, rank: int) -> Any:
    """A vector of a row; where the row ends within it, it is put together from its last whole numbers."""
    if offset + lanes <= rank:
        return write.read(z, write.at.add(line, write.whole(offset)), lanes)
    value = write.zeros(lanes)
    for lane in range(rank - offset):
        one = write.at.load(write.place(z, write.at.add(line, write.whole(offset + lane))), align=_FLOAT)
        value = write.at.insert_element(value, one, write.ir.Constant(write.ir.IntType(32), lane))
    return value


@cache
def _compiled(source: Callable[..., None], *settings: Any) -> tuple[Callable[..., None], Any]:
    """The function, and what keeps its machine code alive."""
    import llvmlite.binding as llvm
    from llvmlite import ir

    pointers = 3 + 3 * len(settings[-1]) if source is _block_source else 3
    module = ir.Module(name="kernels")
    number = ir.FloatType().as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] + [number] * pointers)
    function = ir.Function(module, kind, "kernel")
    for argument in function.args[1:]:
        argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    source(_Writer(builder), function.args, *settings)
    builder.ret_void()
    engine = _machine_code(llvm, str(module))
    address = engine.get_function_address("kernel")
    return ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * pointers)(address), engine


def _machine_code(llvm: Any, text: str) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine

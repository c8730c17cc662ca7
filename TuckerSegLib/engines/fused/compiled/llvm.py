"""LLVM's own language, a little shorter: functions written for this very processor when they are needed (llvmlite).

They loop over matrices row by row in memory, in single precision, several numbers at a time: a *vector*.
"""

import ctypes
import importlib.util
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch

from .machine_code import KERNEL, loaded

_FLOAT = 4

_LACKING = {"AVX2": ("avx512", "avx10", "amx"), "DEFAULT": ("avx", "amx", "fma")}
"""Beginnings of the names of instructions that are not used where PyTorch says that it uses no more than these."""


def available() -> bool:
    """Whether llvmlite is installed."""
    return importlib.util.find_spec("llvmlite") is not None


def padded_width(width: int) -> int:
    """Numbers that the vectors which cover `width` numbers hold."""
    return sum(lanes for _, lanes in vectors(width))


def vectors(width: int) -> list[tuple[int, int]]:
    """Offsets and lanes of the vectors that cover `width` numbers: the processor's, the last a smaller power of two."""
    lanes = lanes_of_a_vector()
    whole, rest = width // lanes * lanes, width % lanes
    last = [(whole, max(4, 1 << (rest - 1).bit_length()))] if rest else []
    return [(offset, lanes) for offset in range(0, whole, lanes)] + last


@cache
def lanes_of_a_vector() -> int:
    """Numbers that this processor takes at a time."""
    features = _features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


@cache
def _features() -> dict[str, bool]:
    """This processor's, without those that PyTorch was told not to use (ATEN_CPU_CAPABILITY)."""
    import llvmlite.binding as llvm

    lacking = _LACKING.get(torch.backends.cpu.get_cpu_capability(), ()) if _is_intel() else ()
    return {name: there and not name.startswith(lacking) for name, there in llvm.get_host_cpu_features().items()}


def registers() -> int:
    """Vectors that sums may take: half of the processor's registers, the rest is for what is added.

    Processors of Intel's kind have 16 of them before AVX-512; with it they have 32, as 64-bit Arm processors do.
    """
    return 8 if _is_intel() and lanes_of_a_vector() < 16 else 16


def _is_intel() -> bool:
    """Whether the processor is of Intel's kind, be it AMD's."""
    return platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "x86")


class Writer:
    """LLVM's own language, a little shorter."""

    def __init__(self, builder: Any) -> None:
        from llvmlite import ir

        self.ir, self.at = ir, builder
        self.index, self.number = ir.IntType(64), ir.FloatType()

    def whole(self, value: int) -> Any:
        return self.ir.Constant(self.index, value)

    def plus(self, index: Any, other: Any) -> Any:
        return self.at.add(index, self.whole(other) if isinstance(other, int) else other)

    def times(self, index: Any, other: Any) -> Any:
        return self.at.mul(index, self.whole(other) if isinstance(other, int) else other)

    def smaller(self, index: Any, other: Any) -> Any:
        return self.at.select(self.at.icmp_signed("<", index, other), index, other)

    def vector(self, lanes: int) -> Any:
        return self.ir.VectorType(self.number, lanes)

    def zeros(self, lanes: int) -> Any:
        return self.ir.Constant(self.vector(lanes), [0.0] * lanes)

    def all(self, value: float, lanes: int) -> Any:
        return self.ir.Constant(self.vector(lanes), [value] * lanes)

    def place(self, pointer: Any, offset: Any) -> Any:
        return self.at.gep(pointer, [offset if not isinstance(offset, int) else self.whole(offset)])

    def read(self, pointer: Any, offset: Any, lanes: int, kept: int | None = None) -> Any:
        """With zeros after the first `kept` lanes."""
        where = self.at.bitcast(self.place(pointer, offset), self.vector(lanes).as_pointer())
        if kept is None or kept >= lanes:
            return self.at.load(where, align=_FLOAT)
        mask, zeros = self._first(kept, lanes), self.zeros(lanes)
        kind = self.ir.FunctionType(zeros.type, [where.type, self.ir.IntType(32), mask.type, zeros.type])
        masked = self._declared(f"llvm.masked.load.v{lanes}f32.p0", kind)
        return self.at.call(masked, [where, self.ir.Constant(self.ir.IntType(32), _FLOAT), mask, zeros])

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
        mask = self._first(kept, lanes)
        kind = self.ir.FunctionType(self.ir.VoidType(), [value.type, where.type, self.ir.IntType(32), mask.type])
        masked = self._declared(f"llvm.masked.store.v{lanes}f32.p0", kind)
        self.at.call(masked, [value, where, self.ir.Constant(self.ir.IntType(32), _FLOAT), mask])

    def _declared(self, name: str, kind: Any) -> Any:
        known = self.at.module.globals
        return known[name] if name in known else self.ir.Function(self.at.module, kind, name)

    def plus_product(self, total: Any, left: Any, right: Any) -> Any:
        return self.at.fadd(total, self.at.fmul(left, right, flags=["contract"]), flags=["contract"])

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any, sums: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
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
        following = self.plus(index, step)
        last = self.at.block
        index.add_incoming(following, last)
        for phi, value in zip(phis, current, strict=True):
            phi.add_incoming(value, last)
        after = self.at.append_basic_block()
        self.at.cbranch(self.at.icmp_signed("<", following, stop), body, after)
        self.at.position_at_end(after)

    def _first(self, kept: int, lanes: int) -> Any:
        """A mask of the first `kept` lanes."""
        bits = self.ir.VectorType(self.ir.IntType(1), lanes)
        return self.ir.Constant(bits, [int(lane < kept) for lane in range(lanes)])


@cache
def compiled(source: Callable[..., None], whole: int, pointers: int, *settings: Any) -> tuple[Callable[..., None], Any]:
    """A function of so many whole numbers and pointers to numbers, and what keeps its machine code alive.

    `source` writes it: `source(writer, arguments, *settings)`. No two of its pointers may lead to the same memory, but
    where it only reads.
    """
    written = partial(_text, source, whole, pointers, settings)
    engine = loaded(f"{source.__qualname__} {whole} {pointers} {settings}", written, _features_in_words())
    address = engine.get_function_address(KERNEL)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * whole, *[ctypes.c_void_p] * pointers)(address), engine


def _text(source: Callable[..., None], whole: int, pointers: int, settings: Sequence[Any]) -> str:
    """What `source` writes, in LLVM's language."""
    from llvmlite import ir

    module = ir.Module(name="kernels")
    kinds = [ir.IntType(64)] * whole + [ir.FloatType().as_pointer()] * pointers
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), KERNEL)
    for argument in function.args[whole:]:
        argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    source(Writer(builder), function.args, *settings)
    builder.ret_void()
    return str(module)


def _features_in_words() -> str:
    return ",".join(f"{'+' if there else '-'}{name}" for name, there in sorted(_features().items()))

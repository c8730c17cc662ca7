"""What blocks do to the rows of a matrix (voxels, channels): by kernels made for them or by PyTorch's operations."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from .compiled import llvm
from .compiled.arithmetic import Compiled
from .parallel import Sums
from .plain import Plain
from .pointwise import Matrix


class BlockWork(Protocol):
    """leaky(z weight + shift), put through each consumer: from (voxels, R) into each of `answers`, (voxels, K)."""

    def __call__(self, z: Tensor, weight: Tensor, shift: Tensor, answers: Sequence[Tensor]) -> None: ...


class ScalingWork(Protocol):
    """Every row y (C,) becomes leaky(y scale + shift), where it is."""

    def __call__(self, y: Tensor, scale: Tensor, shift: Tensor) -> None: ...


class Arithmetic(Protocol):
    """A way to do all of these; `slope` is the LeakyReLU's for negative values."""

    def block(self, rank: int, channels: int, slope: float, consumers: Sequence[Matrix]) -> BlockWork: ...

    def scaling(self, channels: int, slope: float) -> ScalingWork: ...

    def moments(self, z: Tensor, about: Tensor) -> Tensor:
        """Means over the rows of z - a, (1, R), and of the products z (z - a), (R, R), one below the other."""
        ...

    def spread_sums(self, about: Tensor) -> Sums:
        """Makes, of some rows y, (2, C): the sums of y - a, and of their squares."""
        ...


def usual() -> Arithmetic:
    """The kernels' where llvmlite is installed, else PyTorch's."""
    return Compiled() if llvm.available() else Plain()

"""The Tucker-2 decomposition of one convolution, and the layer that replaces it.

A kernel W of shape (O, I, *spatial) is approximated over its two channel modes only,

    W[o, i, ...] = sum_{p, q} last[o, p] core[p, q, ...] first[i, q],

so the convolution becomes three: a pointwise one from I to R_in channels (*first*), the *core* with the original
kernel size, stride, padding and dilation from R_in to R_out channels, and a pointwise one from R_out to O (*last*).
Kim et al., ICLR 2016, section 3.1; Weber et al., Radiology: AI 2025.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

import tensorly
import torch
from tensorly.backend.pytorch_backend import PyTorchBackend
from tensorly.decomposition import partial_tucker
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)

_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)

_POINTWISE: dict[type[nn.Module], type[nn.Conv2d] | type[nn.Conv3d]] = {
    nn.Conv2d: nn.Conv2d,
    nn.ConvTranspose2d: nn.Conv2d,
    nn.Conv3d: nn.Conv3d,
    nn.ConvTranspose3d: nn.Conv3d,
}


class Ranks(NamedTuple):
    """How many channels the core keeps, `out` of the kernel's O and `into` of its I."""

    out: int
    into: int


@dataclass(frozen=True)
class Factors:
    """A decomposed kernel: `core` (R_out, R_in, *spatial), `last` (O, R_out), `first` (I, R_in)."""

    core: Tensor
    last: Tensor
    first: Tensor

    def kernel(self) -> Tensor:
        """The kernel that they stand for, (O, I, *spatial)."""
        return torch.einsum("op,pq...,iq->oi...", self.last, self.core, self.first)


class TuckerConv(nn.Module):
    """A convolution in Tucker-2 form: *first*, *core* and *last*, one after the other; the bias is *last*'s.

    Takes and gives what the convolution did, (N, I, *spatial) to (N, O, *spatial).
    """

    def __init__(self, first: Convolution, core: Convolution, last: Convolution) -> None:
        super().__init__()
        self.first, self.core, self.last = first, core, last

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        x = self.first(x)
        x = self.core(x) if output_size is None else self.core(x, output_size)
        out: Tensor = self.last(x)
        return out

    def kernel(self) -> Tensor:
        """The kernel that the three layers stand for together, (O, I, *spatial)."""
        first, core, last = (kernel_of(layer) for layer in (self.first, self.core, self.last))
        return Factors(core, last.flatten(1), first.flatten(1).T).kernel()

    @classmethod
    def like(cls, conv: Convolution, ranks: Ranks) -> "TuckerConv":
        """The form that `conv` takes at these ranks, on its device and in its type, with weights yet to be loaded."""
        where: dict[str, Any] = {"device": conv.weight.device, "dtype": conv.weight.dtype}
        pointwise = _POINTWISE[type(conv)]
        options: dict[str, Any] = {
            "kernel_size": conv.kernel_size,
            "stride": conv.stride,
            "padding": conv.padding,
            "dilation": conv.dilation,
            "padding_mode": conv.padding_mode,
        }
        if isinstance(conv, _TRANSPOSED):
            options["output_padding"] = conv.output_padding
        first = pointwise(conv.in_channels, ranks.into, 1, bias=False, **where)
        core = type(conv)(ranks.into, ranks.out, bias=False, **options, **where)
        last = pointwise(ranks.out, conv.out_channels, 1, bias=conv.bias is not None, **where)
        return cls(first, core, last).train(conv.training)

    @classmethod
    def from_conv(cls, conv: Convolution, ranks: Ranks) -> "TuckerConv":
        """Decompose `conv`; `conv` itself stays as it is.

        Raises:
            ValueError: the ranks are outside 1 to the number of channels, or the convolution is grouped.
        """
        layer = cls.like(conv, checked(conv, ranks))
        layer.load(decompose(kernel_of(conv), ranks), conv.bias)
        return layer

    @torch.no_grad()
    def load(self, factors: Factors, bias: Tensor | None) -> None:
        """Take over a decomposed kernel and the original's bias (O,)."""
        core = factors.core.transpose(0, 1) if isinstance(self.core, _TRANSPOSED) else factors.core
        for layer, weight in ((self.first, factors.first.T), (self.core, core), (self.last, factors.last)):
            layer.weight.copy_(weight.reshape(layer.weight.shape))
        if bias is not None and self.last.bias is not None:
            self.last.bias.copy_(bias)


def is_decomposable(module: nn.Module) -> TypeGuard[Convolution]:
    """Whether `module` is a convolution with a Tucker-2 form: 2D or 3D, transposed or not, in one group."""
    return isinstance(module, CONVOLUTIONS) and module.groups == 1


def checked(conv: Convolution, ranks: Ranks) -> Ranks:
    """`ranks`, if `conv` can be decomposed at them.

    Raises:
        ValueError: the ranks are outside 1 to the number of channels, or the convolution is grouped.
    """
    if not is_decomposable(conv):
        raise ValueError(f"{type(conv).__name__} with {conv.groups} groups has no Tucker-2 form here.")
    if not (1 <= ranks.out <= conv.out_channels and 1 <= ranks.into <= conv.in_channels):
        raise ValueError(f"Ranks {tuple(ranks)} do not fit {conv.out_channels} x {conv.in_channels} channels.")
    return ranks


def kernel_of(conv: Convolution) -> Tensor:
    """The kernel as (O, I, *spatial), though PyTorch keeps those of transposed convolutions as (I, O, *spatial)."""
    weight = conv.weight.detach()
    return weight.transpose(0, 1) if isinstance(conv, _TRANSPOSED) else weight


def decompose(kernel: Tensor, ranks: Ranks, iterations: int = 100, tolerance: float = 1e-4) -> Factors:
    """Tucker-2 of a kernel (O, I, *spatial), by higher-order orthogonal iteration in float64.

    Iterates until the relative reconstruction error changes by less than `tolerance`, at most `iterations` times
    (De Lathauwer et al., SIAM J. Matrix Anal. Appl. 21, 2000, algorithm 4.2; tensorly's `partial_tucker`).
    """
    attainable = _attainable(kernel, ranks)
    with _backend(_GRAM_BACKEND):
        (core, (last, first)), _ = partial_tucker(
            kernel.detach().cpu().double(), rank=list(attainable), modes=[0, 1], n_iter_max=iterations, tol=tolerance
        )
    return _padded(Factors(core, last, first), ranks)


def _attainable(kernel: Tensor, ranks: Ranks) -> Ranks:
    """`ranks` cut to what the kernel can have: a mode's rank is at most the other's times the kernel's voxels."""
    voxels = kernel[0, 0].numel()
    out = min(ranks.out, ranks.into * voxels)
    return Ranks(out, min(ranks.into, out * voxels))


def _padded(factors: Factors, ranks: Ranks) -> Factors:
    """The same kernel at higher ranks, with channels added that carry nothing."""
    out, into = factors.core.shape[:2]
    core = factors.core.new_zeros((*ranks, *factors.core.shape[2:]))
    core[:out, :into] = factors.core
    last, first = (
        nn.functional.pad(f, (0, r - f.shape[1])) for f, r in zip((factors.last, factors.first), ranks, strict=True)
    )
    return Factors(core, last, first)


class _GramBackend(PyTorchBackend, backend_name="pytorch_gram"):  # type: ignore[misc, call-arg]
    """tensorly on PyTorch, with singular vectors from the smaller Gram matrix.

    `partial_tucker` needs the left singular vectors of flat unfoldings, 320 x 8640 at the largest: those are the
    eigenvectors of a 320 x 320 matrix, found many times faster than by the full decomposition of the unfolding.
    Squaring halves the digits of the *small* singular values only; in float64 the vectors keep single precision.
    """

    @staticmethod
    def svd(matrix: Tensor, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        if matrix.shape[0] > matrix.shape[1]:
            u, s, vh = torch.linalg.svd(matrix, full_matrices=full_matrices)
            return u, s, vh
        squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
        singular = squares.flip(0).clamp(min=torch.finfo(squares.dtype).tiny).sqrt()
        left = vectors.flip(1)
        return left, singular, (left / singular).T @ matrix


_GRAM_BACKEND = _GramBackend()


@contextmanager
def _backend(backend: PyTorchBackend) -> Iterator[None]:
    """Use a tensorly backend in this thread alone.

    The `backend_context` of tensorly itself restores the caller's backend for the whole process, not for the thread.
    """
    before = tensorly.backend.BackendManager.current_backend()
    tensorly.set_backend(backend, local_threadsafe=True)
    try:
        yield
    finally:
        tensorly.set_backend(before, local_threadsafe=True)

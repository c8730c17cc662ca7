"""One layer, fitted to its original's outputs y on the inputs x that it is really given.

Errors d of an output count by d' R' R d, with R' R the layer's `sensitivity` metric and a tenth of the mean of all
channels, each scaled to unit variance, in every one; and voxels count by what an error there does to the answer.

*first* starts with the inputs that the kernel's outputs depend on most. With Sigma the covariance of the input and
M = sum over the kernel's voxels k of W_k' R' R W_k, the F of rank R_in that loses least of E ||R W (x - G F x)||^2,
each voxel taken alone, is F = U' M^(1/2), U the leading eigenvectors of M^(1/2) Sigma M^(1/2), and
G = Sigma F' (F Sigma F')^-1.

*core* and *last* together are a linear map A of rank R_out from z, the neighbourhood of F x, to the original output y:
reduced-rank regression (Izenman, J. Multivariate Anal. 5, 1975; for layers of networks Zhang et al., IEEE TPAMI 38,
2016, section 3.2, whose asymmetric form this is). The full-rank A is a ridge regression drawn towards the original
kernel with its inputs projected, A0 = W G; its closest map of rank R_out on the data comes from the leading
eigenvectors of R A Cov(z) A' R'; the bias matches the means.

Then *first* is fitted to y while *core* and *last* are held, which takes the whole neighbourhood at once into account:
a linear least-squares problem, improved by some iterations of conjugate gradients (CGLS; Hestenes and Stiefel, J. Res.
NBS 49, 1952). After that *core* and *last* are fitted again, and so on in turn.

A layer that is left whole takes the full-rank A with F the identity.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..tucker import Convolution, Factors, Ranks, TuckerConv, kernel_of
from .kernel_inputs import kernel_inputs, knows_inputs, rows_of, some_voxels


@dataclass(frozen=True)
class Fit:
    """How the layers are fitted.

    Attributes:
        samples: voxels of each layer's output that are looked at, over all patches; fewer where it has many inputs.
        ridge: the pull towards the original kernel, in units of the inputs' mean variance.
        rounds: how often the three parts are fitted in turn after the first time.
        seed: chooses the voxels.
    """

    samples: int = 24576
    ridge: float = 0.03
    rounds: int = 4
    seed: int = 0


@dataclass
class Seen:
    """What one layer of the original network takes and gives on the patches.

    Attributes:
        voxels: (P,), flat indices of the output.
        output: (N P, O), the output there.
        inputs: (rows, I), inputs at voxels of their own.
        weights: (N P,), with mean 1, how much the voxels count.
        root: (O, O), R of the module's text, how much the channels count.
    """

    voxels: Tensor
    output: Tensor
    inputs: Tensor
    weights: Tensor
    root: Tensor


_ITERATIONS = 8
"""Iterations of conjugate gradients in each round: more gain little, and fit the samples rather than the layer."""

_LARGEST = 2**26
"""Numbers that the inputs of a layer's samples may have: a quarter of a gigabyte."""


def samples(conv: Convolution, fit: Fit) -> int:
    """How many voxels of its output a layer is fitted on."""
    return max(1, min(fit.samples, _LARGEST // (conv.in_channels * math.prod(conv.kernel_size))))


def fit_decomposed(conv: Convolution, ranks: Ranks, x: Tensor, seen: Seen, fit: Fit) -> TuckerConv:
    """`conv` at these ranks, on the inputs (N, I, *spatial); by its weights alone where its inputs are not known."""
    if not knows_inputs(conv):
        return TuckerConv.from_conv(conv, ranks)
    kernel = kernel_of(conv).double()
    covariance = covariance_of(rows_of(x, some_voxels(x.shape[2:], math.ceil(samples(conv, fit) / len(x)), fit.seed)))
    neighbourhoods = kernel_inputs(conv, x, seen.voxels)
    neighbourhoods = neighbourhoods.reshape(len(neighbourhoods), conv.in_channels, -1)

    def solved(first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = torch.einsum("sik,ri->srk", neighbourhoods, first.to(x.dtype)).flatten(1)
        return _reduced_rank(found, seen, projected(kernel, first, covariance), ranks.out, fit.ridge)

    first = subspace(kernel, seen.root, covariance, ranks.into)
    core, last, bias = solved(first)
    for _ in range(fit.rounds if ranks.into < conv.in_channels else 0):
        rest = (seen.root @ last @ core).reshape(-1, ranks.into, neighbourhoods.shape[2])
        first = _refined(first, neighbourhoods, rest, seen)
        core, last, bias = solved(first)
    layer = TuckerConv.like(conv, ranks)
    layer.load(Factors(core.reshape(*ranks, *kernel.shape[2:]), last, first.T), bias)
    return layer


def fit_whole(conv: Convolution, x: Tensor, seen: Seen, fit: Fit) -> Convolution:
    """`conv` with a kernel that makes up for what has become of its inputs (N, I, *spatial), as far as it can."""
    conv = copy.deepcopy(conv)
    if knows_inputs(conv):
        kernel = kernel_of(conv).double()
        middle, centre, whole = _regression(kernel_inputs(conv, x, seen.voxels), seen, kernel.flatten(1), fit.ridge)
        kernel_of(conv).copy_(whole.reshape(kernel.shape))
        if conv.bias is not None:
            conv.bias.copy_(centre - whole @ middle)
    return conv


def subspace(kernel: Tensor, root: Tensor, covariance: Tensor, rank: int) -> Tensor:
    """F (R_in, I) of the module's text, to start from."""
    weighted = torch.tensordot(root, kernel, 1).movedim(1, 0).flatten(1)
    square = weighted @ weighted.T
    # A little of the identity, so that a dead input does no harm.
    square.diagonal().add_(1e-6 * square.trace() / len(square) + 1e-30)
    dependence = root_of(square)
    _, vectors = torch.linalg.eigh(dependence @ covariance @ dependence)
    first: Tensor = vectors.flip(1)[:, :rank].T @ dependence
    return first


def projected(kernel: Tensor, first: Tensor, covariance: Tensor) -> Tensor:
    """A0 (O, R_in K) of the module's text."""
    inner = first @ covariance @ first.T
    inner += torch.eye(len(inner)) * (1e-8 * inner.trace() / len(inner) + 1e-30)
    back = torch.linalg.solve(inner, first @ covariance).T
    return torch.einsum("oi...,ir->or...", kernel, back).flatten(1)


def ridge_regression(inputs: Tensor, residual: Tensor, ridge: float) -> Tensor:
    """(O, K), from inputs (S, K) to residual (S, O): through the smaller of both Gram matrices."""
    pull = ridge * float(inputs.square().sum()) / inputs.shape[1] + 1e-30
    if inputs.shape[1] <= len(inputs):
        gram = inputs.T @ inputs
        gram.diagonal().add_(pull)
        primal: Tensor = torch.linalg.solve(gram, inputs.T @ residual).T
        return primal
    gram = inputs @ inputs.T
    gram.diagonal().add_(pull)
    dual: Tensor = (inputs.T @ torch.linalg.solve(gram, residual)).T
    return dual


def covariance_of(rows: Tensor) -> Tensor:
    """(C, C) of (rows, C)."""
    centred = rows.double() - rows.double().mean(0)
    return centred.T @ centred / len(rows)


def root_of(square: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(square)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def mean_of(rows: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of (S, ...), in double precision."""
    mean: Tensor = torch.tensordot(weights / weights.sum(), rows.double(), 1)
    return mean


def _refined(first: Tensor, neighbourhoods: Tensor, rest: Tensor, seen: Seen) -> Tensor:
    """F (R_in, I), closer to the outputs: CGLS from F on, inputs (S, I, K), the layers after F (O, R_in, K)."""
    kind, root = neighbourhoods.dtype, seen.weights.sqrt()[:, None]
    inputs = (neighbourhoods - mean_of(neighbourhoods, seen.weights).to(kind)) * root[:, None].to(kind)
    weights = rest.to(kind).flatten(1)

    def forth(f: Tensor) -> Tensor:
        return torch.einsum("sik,ri->srk", inputs, f).flatten(1) @ weights.T

    def back(rows: Tensor) -> Tensor:
        return torch.einsum("srk,sik->ri", (rows @ weights).reshape(len(rows), *rest.shape[1:]), inputs)

    found = first.to(kind)
    wanted = (seen.output.double() - mean_of(seen.output, seen.weights)) * root @ seen.root.T
    missing = wanted.to(kind) - forth(found)
    slope = back(missing)
    direction, size = slope, slope.square().sum()
    for _ in range(_ITERATIONS):
        ahead = forth(direction)
        length = size / ahead.square().sum().clamp(min=1e-30)
        found, missing = found + length * direction, missing - length * ahead
        slope, before = back(missing), size
        size = slope.square().sum()
        direction = slope + size / before.clamp(min=1e-30) * direction
    return found.double()


def _reduced_rank(inputs: Tensor, seen: Seen, prior: Tensor, rank: int, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """*core* (R_out, R_in K), *last* (O, R_out) and bias (O,) from the neighbourhoods of F x, (S, R_in K)."""
    middle, centre, whole = _regression(inputs, seen, prior, ridge)
    answer = (inputs.double() - middle) * seen.weights.sqrt()[:, None] @ whole.T @ seen.root.T
    _, vectors = torch.linalg.eigh(answer.T @ answer)
    leading = vectors.flip(1)[:, :rank]
    core, last = leading.T @ seen.root @ whole, torch.linalg.solve(seen.root, leading)
    return core, last, centre - last @ (core @ middle)


def _regression(inputs: Tensor, seen: Seen, prior: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """The means of inputs (S, K) and outputs, and A (O, K) between what is left, drawn towards the prior."""
    root = seen.weights.sqrt()[:, None]
    middle, centre = mean_of(inputs, seen.weights), mean_of(seen.output, seen.weights)
    centred = (inputs.double() - middle) * root
    residual = (seen.output.double() - centre) * root - centred @ prior.T
    return middle, centre, prior + ridge_regression(centred, residual, ridge)

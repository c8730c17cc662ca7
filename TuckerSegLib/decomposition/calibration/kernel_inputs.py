"""Which inputs each output voxel of a convolution depends on: its neighbourhood, as a row of a matrix."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tucker import Convolution


def knows_inputs(conv: Convolution) -> bool:
    """Whether `kernel_inputs` can tell which inputs an output voxel depends on."""
    if isinstance(conv, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        plain = not any(conv.padding) and not any(conv.output_padding)
        return tuple(conv.kernel_size) == tuple(conv.stride) and plain
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def kernel_inputs(conv: Convolution, x: Tensor, voxels: Tensor) -> Tensor:
    """The inputs of each of P output voxels, (N P, R K) of (N, R, *spatial); zeros where the kernel finds none."""
    if isinstance(conv, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return _inputs_of_transposed(conv, x, voxels)
    widths = [int(width) for width in conv.padding]
    padded = functional.pad(x, [side for width in reversed(widths) for side in (width, width)])
    sizes = zip(x.shape[2:], widths, conv.dilation, conv.kernel_size, conv.stride, strict=True)
    shape = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes]
    starts = _flat([at * s for at, s in zip(_unflat(voxels, shape), conv.stride, strict=True)], padded.shape[2:])
    offsets = torch.cartesian_prod(
        *(torch.arange(k) * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    ).reshape(-1, len(shape))
    where = starts[:, None] + _flat(list(offsets.T), padded.shape[2:])
    found = padded.flatten(2)[:, :, where]
    return found.movedim(1, 2).flatten(2).flatten(0, 1)


def _inputs_of_transposed(conv: Convolution, x: Tensor, voxels: Tensor) -> Tensor:
    """Where kernel and stride are equal, an output depends on one input, through one voxel of the kernel."""
    shape = [n * s for n, s in zip(x.shape[2:], conv.stride, strict=True)]
    at = _unflat(voxels, shape)
    where = _flat([a // s for a, s in zip(at, conv.stride, strict=True)], x.shape[2:])
    place = _flat([a % s for a, s in zip(at, conv.stride, strict=True)], conv.kernel_size)
    found = x.flatten(2)[:, :, where].movedim(1, 2)
    chosen = functional.one_hot(place, math.prod(conv.kernel_size)).to(x.dtype)
    return torch.einsum("npr,pk->nprk", found, chosen).flatten(2).flatten(0, 1)


def _flat(indices: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    flat = torch.zeros_like(indices[0])
    for index, size in zip(indices, shape, strict=True):
        flat = flat * size + index
    return flat


def _unflat(flat: Tensor, shape: Sequence[int]) -> list[Tensor]:
    return list(torch.unravel_index(flat, tuple(shape)))


def within(voxels: Tensor, part: Sequence[int], whole: Sequence[int]) -> Tensor:
    """Flat indices into an array of shape `part`, as those into one of shape `whole` whose first corner it is."""
    return _flat(_unflat(voxels, part), whole)


def some_voxels(shape: Sequence[int], count: int, seed: int) -> Tensor:
    """The flat indices, ascending, of at most `count` random voxels of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(math.prod(shape), generator=generator)[:count].sort().values


def rows_of(x: Tensor, voxels: Tensor) -> Tensor:
    """The values (N P, C) that (N, C, *spatial) has at P voxels."""
    return x.flatten(2)[:, :, voxels].movedim(1, 2).flatten(0, 1)

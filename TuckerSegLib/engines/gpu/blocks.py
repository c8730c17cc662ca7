"""What stands between convolutions on a GPU: *last* -> InstanceNorm -> LeakyReLU -> *first*, with channels last.

By kernels where Triton is installed, which never hold the wide activation whole; else by PyTorch, tile by tile.
"""

import importlib.util
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from ...decomposition.tucker import Convolution
from ..fused.channels_last import channels_last, matrix
from ..fused.pointwise import bias_of

Norm = nn.InstanceNorm2d | nn.InstanceNorm3d

_WIDEST = 64
"""Channels that a kernel holds of a narrow activation at once."""

_WIDEST_PRODUCTS = 32
"""Channels of which a kernel adds up all products; for more, which are deep in a network and few, PyTorch does."""

_TILE = 1 << 17
"""Rows that PyTorch's operations take at a time."""


@cache
def has_kernels() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def runs_kernels(x: Tensor) -> bool:
    """Whether they are for numbers of this type where these are."""
    return x.is_cuda and x.dtype == torch.half


def wide_for(channels: int) -> int:
    """The width that a kernel's matrix product has for so many channels: a power of two, 16 at least."""
    return max(16, 1 << (channels - 1).bit_length())


def fits(last: Convolution, consumers: Sequence[Convolution | None]) -> bool:
    """Whether a kernel takes such a block."""
    narrow = [consumer for consumer in consumers if consumer]
    widths = [last.in_channels, *(consumer.out_channels for consumer in narrow)]
    return has_kernels() and len(narrow) <= 2 and len(consumers) - len(narrow) <= 1 and max(widths) <= _WIDEST


class GpuBlock(nn.Module):
    """(N, R, *spatial) to a tuple with (N, K, *spatial) for each of `consumers`, channels last in memory.

    Args:
        last: a pointwise convolution from R to C channels.
        norm: of its C outputs; None for none.
        slope: of the LeakyReLU after it, for negative values.
        consumers: pointwise convolutions from C channels; None stands for the activation itself.
    """

    weight: Tensor
    bias: Tensor
    padded: Tensor

    def __init__(
        self, last: Convolution, norm: Norm | None, slope: float, consumers: Sequence[Convolution | None]
    ) -> None:
        super().__init__()
        self.slope, self._eps = slope, norm.eps if norm else None
        self.register_buffer("weight", last.weight.detach().flatten(1).float())
        self.register_buffer("bias", bias_of(last).float())
        self.register_buffer("padded", _padded(self.weight.T, wide_for(last.in_channels), 0).half())
        self.gain, self.offset = _affine(norm, len(self.weight))
        self.consumers = nn.ModuleList(nn.Identity() if one is None else _Consumer(one) for one in consumers)
        self._by_kernels = fits(last, consumers)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        z = channels_last(z)
        widths = [one.width if isinstance(one, _Consumer) else len(self.weight) for one in self.consumers]
        answers = [z.new_empty((len(z), *z.shape[2:], width)).movedim(-1, 1) for width in widths]
        for index in range(len(z)):
            self._one(matrix(z[index]), [matrix(answer[index]) for answer in answers])
        return tuple(answers)

    def _one(self, z: Tensor, answers: Sequence[Tensor]) -> None:
        if self._by_kernels and runs_kernels(z):
            self._in_kernels(z, answers)
        else:
            self._on_tiles(z, answers)

    def _in_kernels(self, z: Tensor, answers: Sequence[Tensor]) -> None:
        from . import kernels

        folded, shift = self.padded, self.bias
        if self._eps is not None and wide_for(z.shape[1]) > _WIDEST_PRODUCTS:
            weight, shift = self._folded(z)
            folded = _padded(weight, wide_for(z.shape[1]), 0).half()
        elif self._eps is not None:
            found = kernels.moments(z, wide_for(z.shape[1]))
            folded, shift = kernels.fold(found, len(z), self.weight, self.gain, self.offset, self._eps)
        pairs = list(zip(self.consumers, answers, strict=True))
        narrow = [(one.padded, one.padded_bias, answer) for one, answer in pairs if isinstance(one, _Consumer)]
        whole = [answer for one, answer in pairs if not isinstance(one, _Consumer)]
        kernels.block(z, folded, shift, self.slope, narrow, whole[0] if whole else None)

    def _on_tiles(self, z: Tensor, answers: Sequence[Tensor]) -> None:
        weight, shift = self._folded(z)
        for start in range(0, len(z), _TILE):
            here = slice(start, start + _TILE)
            y = nn.functional.leaky_relu_(torch.addmm(shift.to(z.dtype), z[here], weight.to(z.dtype)), self.slope)
            for one, answer in zip(self.consumers, answers, strict=True):
                answer[here] = one(y)

    def _folded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """*last* with the norm in it: a matrix (R, C) and a shift (C,), in single precision."""
        if self._eps is None:
            return self.weight.T, self.bias
        single = z.float()
        about = single.mean(0)
        single = single - about
        variance = ((self.weight @ (single.T @ single / len(z))) * self.weight).sum(1)
        scale = self.gain * (variance.clamp(min=0) + self._eps).rsqrt()
        return (self.weight * scale[:, None]).T, self.offset - scale * (self.weight @ about)


class _Consumer(nn.Module):
    """A pointwise convolution as a matrix (channels, width) and a bias (width,)."""

    weight: Tensor
    bias: Tensor
    padded: Tensor
    padded_bias: Tensor

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.width = layer.out_channels
        self.register_buffer("weight", layer.weight.detach().flatten(1).T.contiguous().float())
        self.register_buffer("bias", bias_of(layer).float())
        self.register_buffer("padded", _padded(self.weight, wide_for(self.width), 1).half())
        self.register_buffer("padded_bias", _padded(self.bias, wide_for(self.width), 0))

    def forward(self, y: Tensor) -> Tensor:
        return torch.addmm(self.bias.to(y.dtype), y, self.weight.to(y.dtype))


class GpuNorm(nn.Module):
    """InstanceNorm and LeakyReLU, (N, C, *spatial), channels last in memory and so left.

    Args:
        slope: for negative values; 1 for no activation.
        in_place: whether the input may be overwritten.
    """

    def __init__(self, norm: Norm, slope: float, in_place: bool) -> None:
        super().__init__()
        self._slope, self._eps, self._in_place = slope, norm.eps, in_place
        self.gain, self.offset = _affine(norm, norm.num_features)

    def forward(self, x: Tensor) -> Tensor:
        rows = channels_last(x)
        answer = rows if self._in_place or rows.data_ptr() != x.data_ptr() else torch.empty_like(rows)
        for one, made in zip(rows, answer, strict=True):
            self._one(matrix(one), matrix(made))
        return answer

    def _one(self, y: Tensor, answer: Tensor) -> None:
        if has_kernels() and runs_kernels(y):
            from . import kernels

            kernels.normalised(y, self.gain, self.offset, self._eps, self._slope, answer)
            return
        mean = y.mean(0, dtype=torch.float32)
        squares = torch.linalg.vector_norm(y, dim=0, dtype=torch.float32).square() / len(y)
        scale = self.gain * ((squares - mean.square()).clamp(min=0) + self._eps).rsqrt()
        shift = self.offset - scale * mean
        torch.mul(y, scale.to(y.dtype), out=answer)
        nn.functional.leaky_relu_(answer.add_(shift.to(y.dtype)), self._slope)


def _affine(norm: Norm | None, channels: int) -> tuple[nn.Parameter, nn.Parameter]:
    """What a norm multiplies with and adds, in single precision."""
    if norm is None or not norm.affine:
        found = torch.ones(channels), torch.zeros(channels)
    else:
        found = norm.weight.detach().float(), norm.bias.detach().float()
    gain, offset = (nn.Parameter(one, requires_grad=False) for one in found)
    return gain, offset


def _padded(x: Tensor, size: int, axis: int) -> Tensor:
    """With zeros behind its end along an axis."""
    missing = size - x.shape[axis]
    return nn.functional.pad(x, [0, 0] * (x.ndim - 1 - axis) + [0, missing]).contiguous()

"""The fused block: *last* -> InstanceNorm -> LeakyReLU -> the next layers' *first*, the wide activation never whole.

The core's output z is narrow, what *last* makes of it wide. With y = W z + b over all voxels of a patch,

    mean(y) = W mean(z) + b    and    var(y) = diag(W Cov(z) W^T),

so InstanceNorm's statistics follow exactly from z, its scale and shift go into W and b, and all that remains is done
tile by tile (`tiles`), small enough for the cache. Channels lie last in memory: a patch is a matrix (voxels, channels).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tucker import Convolution
from . import tiles

Norm = nn.InstanceNorm2d | nn.InstanceNorm3d

_SAMPLE = 1024
"""Voxels whose mean is subtracted before squaring, so that a large mean does not cost digits of the variance."""


class FusedBlock(nn.Module):
    """(N, R, *spatial) to a tuple with (N, K, *spatial) for each of `consumers`, channels last in memory.

    Args:
        last: a pointwise convolution from R to C channels.
        norm: of its C outputs; None for none.
        slope: of the LeakyReLU after it, for negative values.
        consumers: pointwise convolutions from C channels; None stands for the activation itself.
    """

    def __init__(
        self, last: Convolution, norm: Norm | None, slope: float, consumers: Sequence[Convolution | None]
    ) -> None:
        super().__init__()
        self.norm, self.slope = norm, slope
        self.register_buffer("weight", last.weight.detach().flatten(1))
        self.register_buffer("bias", _bias(last))
        self.narrow = nn.ModuleList(_Matrix(c) if c is not None else nn.Identity() for c in consumers)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        z = channels_last(z)
        wide = len(self.weight)
        answers = tuple(_empty_like(z, m.width if isinstance(m, _Matrix) else wide) for m in self.narrow)
        for index in range(len(z)):
            self._one(_matrix(z[index]), [_matrix(answer[index]) for answer in answers])
        return answers

    def _one(self, z: Tensor, answers: Sequence[Tensor]) -> None:
        weight, shift = self._folded(z)

        def work(parts: Iterator[slice], rows: int) -> None:
            buffer = z.new_empty((rows, len(shift)))
            for here in parts:
                part = z[here]
                wide = torch.addmm(shift, part, weight, out=buffer[: len(part)])
                functional.leaky_relu_(wide, self.slope)
                for layer, answer in zip(self.narrow, answers, strict=True):
                    if isinstance(layer, _Matrix):
                        layer.into(wide, answer[here])
                    else:
                        answer[here].copy_(wide)

        tiles.run(work, z, len(shift))

    def _folded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """*last* with the norm in it: a matrix (R, C) and a shift (C,)."""
        if self.norm is None:
            return self.weight.T.contiguous(), self.bias
        mean, covariance = moments(z)
        weight = self.weight.double()
        variance = ((weight @ covariance) * weight).sum(1).clamp(min=0)
        scale = (variance + self.norm.eps).rsqrt()
        shift = torch.zeros_like(scale)
        if self.norm.affine:
            scale, shift = scale * self.norm.weight, shift + self.norm.bias
        folded = weight * scale[:, None]
        return folded.T.to(z.dtype).contiguous(), (shift - folded @ mean).to(z.dtype)


class BatchOfOneNorm(nn.Module):
    """InstanceNorm as a batch norm over each image alone: the same, and not slow where channels lie last in memory."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, eps = self.norm.weight, self.norm.bias, self.norm.eps
        images = [functional.batch_norm(image, None, None, weight, bias, True, 0.0, eps) for image in x.split(1)]
        return images[0] if len(images) == 1 else torch.cat(images)


class _Matrix(nn.Module):
    """A pointwise convolution as a matrix product."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.width = layer.out_channels
        self.register_buffer("weight", layer.weight.detach().flatten(1).T.contiguous())
        self.register_buffer("bias", None if layer.bias is None else _bias(layer))

    def into(self, x: Tensor, answer: Tensor) -> None:
        if self.bias is None:
            torch.mm(x, self.weight, out=answer)
        else:
            torch.addmm(self.bias, x, self.weight, out=answer)


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (R,) and covariance (R, R) over the rows of `z` (voxels, R), summed in double precision tile by tile."""
    about = z[:: max(1, len(z) // _SAMPLE)].mean(0)
    sums: list[Tensor] = []

    def work(parts: Iterator[slice], rows: int) -> None:
        buffer, ones = z.new_empty((rows, len(about))), z.new_ones(rows)
        total = z.new_zeros((len(about) + 1, len(about)), dtype=torch.float64)
        for here in parts:
            part = z[here]
            centred = torch.sub(part, about, out=buffer[: len(part)])
            total[0] += ones[: len(part)] @ centred
            total[1:] += centred.T @ centred
        sums.append(total)

    tiles.run(work, z, len(about))
    total = torch.stack(sums).sum(0) / len(z)
    return about + total[0], total[1:] - torch.outer(total[0], total[0])


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=memory_format(x.dim()))


def memory_format(dimensions: int) -> Any:
    """Channels last, for tensors with so many dimensions."""
    return torch.channels_last_3d if dimensions == 5 else torch.channels_last


def _matrix(image: Tensor) -> Tensor:
    """(channels, *spatial), channels last in memory, as (voxels, channels) of the same memory."""
    return image.movedim(0, -1).view(-1, len(image))


def _empty_like(z: Tensor, channels: int) -> Tensor:
    return z.new_empty((len(z), *z.shape[2:], channels)).movedim(-1, 1)


def _bias(layer: Convolution) -> Tensor:
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()

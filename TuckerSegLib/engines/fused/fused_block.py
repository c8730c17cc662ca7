"""The fused block: *last* -> InstanceNorm -> LeakyReLU -> the next layers' *first*, the wide activation never whole.

The core's output z is narrow, what *last* makes of it wide. With y = W z + b over all voxels of a patch,

    mean(y) = W mean(z) + b    and    var(y) = diag(W Cov(z) W^T),

so InstanceNorm's statistics follow exactly from z, its scale and shift go into W and b, and all that remains is done
tile by tile (`parallel`), by kernels made for the block or by PyTorch's own operations (`arithmetic`).
Channels lie last in memory: a patch is a matrix (voxels, channels).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...decomposition.tucker import Convolution
from . import arithmetic, parallel
from .arithmetic import Arithmetic
from .channels_last import channels_last, empty, matrix
from .pointwise import Matrix, bias_of

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
        by: how the arithmetic is done; the usual way where none is given.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        last: Convolution,
        norm: Norm | None,
        slope: float,
        consumers: Sequence[Convolution | None],
        by: Arithmetic | None = None,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("weight", last.weight.detach().flatten(1))
        self.register_buffer("bias", bias_of(last))
        self._arithmetic = by or arithmetic.usual()
        matrices = [Matrix(consumer, len(self.weight)) for consumer in consumers]
        self._widths = [consumer.width for consumer in matrices]
        self._work = self._arithmetic.block(self.weight.shape[1], len(self.weight), slope, matrices)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        z = channels_last(z)
        answers = tuple(empty(z, width) for width in self._widths)
        for index in range(len(z)):
            one = matrix(z[index])
            self._work(one, *self._folded(one), [matrix(answer[index]) for answer in answers])
        return answers

    def _folded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """*last* with the norm in it: a matrix (R, C) and a shift (C,)."""
        if self.norm is None:
            return self.weight.T.contiguous(), self.bias
        mean, covariance = moments(z, self._arithmetic)
        weight = self.weight.double()
        variance = ((weight @ covariance) * weight).sum(1)
        scale, shift = scale_and_shift(self.norm, weight @ mean, variance)
        return (weight * scale[:, None]).T.to(z.dtype).contiguous(), shift.to(z.dtype)


class WideNorm(nn.Module):
    """InstanceNorm and LeakyReLU on what is wide already, (N, C, *spatial), channels last in memory.

    Args:
        slope: for negative values; 1 for no activation.
        in_place: whether the input may be overwritten.
        by: how the arithmetic is done; the usual way where none is given.
    """

    def __init__(self, norm: Norm, slope: float, in_place: bool, by: Arithmetic | None = None) -> None:
        super().__init__()
        self.norm, self._in_place = norm, in_place
        self._arithmetic = by or arithmetic.usual()
        self._work = self._arithmetic.scaling(norm.num_features, slope)

    def forward(self, x: Tensor) -> Tensor:
        y = channels_last(x)
        if y.data_ptr() == x.data_ptr() and not self._in_place:
            y = y.clone(memory_format=torch.preserve_format)
        for image in y:
            self._one(matrix(image))
        return y

    def _one(self, y: Tensor) -> None:
        mean, variance = spread(y, self._arithmetic)
        scale, shift = scale_and_shift(self.norm, mean, variance)
        self._work(y, scale.to(y.dtype), shift.to(y.dtype))


def scale_and_shift(norm: Norm, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """What the norm does to numbers of this mean and variance, (C,) each, in double precision."""
    scale = (variance.clamp(min=0) + norm.eps).rsqrt()
    if not norm.affine:
        return scale, -scale * mean
    scale = scale * norm.weight
    return scale, norm.bias - scale * mean


def moments(z: Tensor, by: Arithmetic) -> tuple[Tensor, Tensor]:
    """Mean (R,) and covariance (R, R) over the rows of `z` (voxels, R), summed in double precision tile by tile."""
    about = _about(z)
    total = by.moments(z, about)
    mean = about + total[0]
    return mean, total[1:] - torch.outer(mean, total[0])


def spread(y: Tensor, by: Arithmetic) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over the rows of `y` (voxels, C), summed in double precision tile by tile."""
    about = _about(y)
    offset, squares = parallel.mean(y, lambda _: by.spread_sums(about), len(about))
    return about + offset, squares - offset.square()


def _about(y: Tensor) -> Tensor:
    """Near the mean of the rows."""
    return y[:: max(1, len(y) // _SAMPLE)].mean(0)

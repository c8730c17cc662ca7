"""One look at the original network: what goes through each convolution, and what errors in it do to the answer.

The Fisher information of the labels in a layer's output, G, is the second moment of d log p(y) / d output for labels y
drawn from the network's own softmax; the answer moves by KL(p || p') = 1/2 d' G d for a small error d (`sensitivity`
says more). One pass forward and one backward a patch gives it for all layers, with their inputs' and outputs'
covariances: every voxel counts as a sample, so that a single draw of labels a voxel is enough.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..counting import convolutions
from ..fast_passes import half_precision, in_order
from .correction import quick

_CROP = 64
"""Voxels along each axis that are looked at, of patches of more than twice the cube: backward takes all activations."""
_EVERY_CHANNEL = 0.1
"""The share of the mean sensitivity that each output channel has at least."""
_EVERY_VOXEL = 0.5
"""What each voxel's weight has at least, of the mean weight."""


@dataclass
class Moments:
    """Sums over the rows of matrices (rows, C): how many, of them, and of their outer products."""

    count: float = 0.0
    sums: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, rows: Tensor) -> None:
        self.count += len(rows)
        self.sums = self.sums + rows.sum(0).double()
        self.squares = self.squares + (rows.T @ rows).double()

    @property
    def mean(self) -> Tensor:
        return self.sums / self.count

    @property
    def covariance(self) -> Tensor:
        return self.squares / self.count - torch.outer(self.mean, self.mean)


@dataclass
class Sensed:
    """One layer's moments of inputs and outputs, the metric G (O, O) summed over a patch's voxels, and `places`.

    `places` tells, for each patch, what an error of one standard deviation in every channel, each for itself, does at
    each voxel of the output, (*spatial) of the part that was looked at.
    """

    inputs: Moments = field(default_factory=Moments)
    outputs: Moments = field(default_factory=Moments)
    metric: Tensor = field(default_factory=lambda: torch.zeros(()))
    places: list[Tensor] = field(default_factory=list)

    def scaled(self) -> tuple[Tensor, Tensor]:
        """The metric for errors in units of each channel's standard deviation, and those deviations (O,)."""
        deviation = self.outputs.covariance.diagonal().clamp(min=0).sqrt()
        deviation = deviation.clamp(min=float(deviation.max()) * 1e-3 + 1e-12)
        return deviation[:, None] * self.metric * deviation, deviation

    def root(self) -> Tensor:
        """R (O, O): |R d|^2 is what an error d counts, with a little in every channel."""
        scaled, deviation = self.scaled()
        floor = float(scaled.trace()) / len(scaled) * _EVERY_CHANNEL + 1e-30
        values, vectors = torch.linalg.eigh(scaled + torch.eye(len(scaled)) * floor)
        root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T / deviation
        return root

    def weights(self, number: int) -> Tensor:
        """How much each voxel of patch `number` counts, 1 in the mean; the few largest are cut off."""
        found = self.places[number % len(self.places)].double()
        cut = found.clamp(max=float(found.flatten().sort().values[int(0.999 * (found.numel() - 1))]))
        found = cut / cut.mean().clamp(min=1e-30) + _EVERY_VOXEL
        return found / found.mean()


def sensed(
    network: nn.Module, patches: Tensor, seed: int, after_each: Callable[[], None] = lambda: None
) -> dict[str, Sensed]:
    """What is sensed of each convolution by name, over patches (N, C, *spatial); `after_each` of them is called."""
    copied = quick(network)
    found = {name: Sensed() for name in convolutions(copied)}
    for name, layer in convolutions(copied).items():
        layer.register_forward_hook(_watching(found[name]))
    generator = torch.Generator().manual_seed(seed)
    for patch in patches:
        _backward(copied, _looked_at(patch)[None], generator)
        after_each()
    for one in found.values():
        one.metric = one.metric / len(patches)
    return found


def _looked_at(patch: Tensor) -> Tensor:
    large = math.prod(patch.shape[1:]) > 2 * _CROP ** (patch.ndim - 1)
    starts = [max(0, (size - _CROP) // 2) if large else 0 for size in patch.shape[1:]]
    return patch[(slice(None), *(slice(start, start + _CROP if large else None) for start in starts))]


def _backward(network: nn.Module, patch: Tensor, generator: torch.Generator) -> None:
    """Draw a label for each voxel and go backward from its probability."""
    half = half_precision(torch.device("cpu"))
    with torch.enable_grad():
        with torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=False):
            scores = network(in_order(patch.clone()).requires_grad_())
        scores = scores[0].flatten(1).T.float().log_softmax(1)
        shares = scores.detach().exp().cumsum(1)
        drawn = torch.rand(len(shares), 1, generator=generator) * shares[:, -1:]
        labels = (shares < drawn).sum(1, keepdim=True).clamp(max=shares.shape[1] - 1)
        scores.gather(1, labels).sum().backward()


def _watching(found: Sensed) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.inputs.add(_rows(inputs[0].detach()))
        rows = _rows(output.detach())
        found.outputs.add(rows)
        spread = rows.std(0, correction=0)

        def with_gradient(gradient: Tensor) -> None:
            slopes = _rows(gradient)
            found.metric = found.metric + (slopes.T @ slopes).double()
            found.places.append((slopes * spread).square().sum(1).reshape(gradient.shape[2:]))

        output.register_hook(with_gradient)  # type: ignore[no-untyped-call]

    return watch


def _rows(x: Tensor) -> Tensor:
    """(1, C, *spatial) as (voxels, C), in single precision."""
    return x[0].movedim(0, -1).flatten(0, -2).float()

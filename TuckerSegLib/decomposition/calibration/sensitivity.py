"""What each layer's errors do to the network's answer: the Fisher information of the labels in every layer's output.

For a small error d in a layer's output at one voxel, the answer moves by the Kullback-Leibler divergence
KL(p || p') = 1/2 d' G d, with G the second moment of d log p(y) / d output for labels y drawn from p, the network's own
softmax (Amari, Neural Comput. 10, 1998; as curvature of layers, Martens and Grosse, ICML 2015). One pass forward and a
few backward a patch give it for all layers; nothing is trained, and there is no truth.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..counting import convolutions

_CROP = 64
"""Voxels along each axis that are looked at in patches larger than the cube, as the backward pass keeps activations."""

_DRAWS = 4
"""How often labels are drawn for each voxel."""


@dataclass
class Sensitivity:
    """How much errors in one layer's output matter.

    Attributes:
        metric: (O, O), G summed over a patch's voxels and averaged over patches.
        voxels: (N, *spatial), what an error of one standard deviation in every channel, each for itself, does at each
            voxel of the patches, or of the first `_CROP` along each axis of large ones.
    """

    metric: Tensor
    voxels: Tensor


def sensitivities(network: nn.Module, patches: Tensor, seed: int) -> dict[str, Sensitivity]:
    """The sensitivity of every convolution by name, over patches (N, C, *spatial)."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    layers = {name: _Layer(layer) for name, layer in convolutions(network).items()}
    generator = torch.Generator().manual_seed(seed)
    large = math.prod(patches.shape[2:]) > _CROP ** (patches.ndim - 2)
    window = [slice(_CROP if large else None)] * (patches.ndim - 2)
    with torch.enable_grad():
        for one in patches[(slice(None), slice(None), *window)]:
            scores = network(one[None].clone().requires_grad_()).log_softmax(1)[0].flatten(1)
            for layer in layers.values():
                layer.places.append(torch.zeros(()))
            for draw in range(_DRAWS):
                labels = torch.multinomial(scores.detach().exp().T, 1, generator=generator)
                scores.T.gather(1, labels).sum().backward(retain_graph=draw < _DRAWS - 1)
    return {name: layer.found(_DRAWS * len(patches)) for name, layer in layers.items()}


class _Layer:
    """Adds up what passes backward through one layer's output."""

    def __init__(self, layer: nn.Module) -> None:
        self.places: list[Tensor] = []
        self._metric = torch.zeros(())
        layer.register_forward_hook(self._watch)

    def found(self, count: int) -> Sensitivity:
        return Sensitivity(self._metric / count, torch.stack(self.places))

    def _watch(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spread = output.detach()[0].flatten(1).std(1, correction=0)
        output.register_hook(self._adding(spread))  # type: ignore[no-untyped-call]

    def _adding(self, spread: Tensor) -> Callable[[Tensor], None]:
        def with_gradient(gradient: Tensor) -> None:
            rows = gradient[0].flatten(1)
            self._metric = self._metric + (rows @ rows.T).double()
            self.places[-1] = self.places[-1] + (rows * spread[:, None]).square().sum(0).reshape(gradient.shape[2:])

        return with_gradient

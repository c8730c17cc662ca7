"""What each layer's errors do to the network's answer: the Fisher information of the labels in every layer's output.

For a small error d in a layer's output at one voxel, the answer moves by the Kullback-Leibler divergence
KL(p || p') = 1/2 d' G d, with G the second moment of d log p(y) / d output for labels y drawn from p, the network's own
softmax (Amari, Neural Comput. 10, 1998; as curvature of layers, Martens and Grosse, ICML 2015). One pass forward and
one backward a patch give it for all layers; nothing is trained, and there is no truth.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .compression import convolutions

_CROP = 64
"""Voxels along each axis that are looked at, of larger patches: the pass backward keeps every activation."""


def metrics(network: nn.Module, patches: Tensor, seed: int) -> dict[str, Tensor]:
    """G (O, O) of every convolution by name, summed over a patch's voxels, averaged over patches (N, C, *spatial)."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    found: dict[str, Tensor] = {}
    for name, layer in convolutions(network).items():
        found[name] = torch.zeros(layer.out_channels, layer.out_channels, dtype=torch.float64)
        layer.register_forward_hook(_adding(found[name]))
    generator = torch.Generator().manual_seed(seed)
    window: list[slice] = [slice(_CROP)] * (patches.ndim - 2)
    cropped = patches[(slice(None), slice(None), *window)]
    with torch.enable_grad():
        for one in cropped:
            scores = network(one[None].clone().requires_grad_()).log_softmax(1)[0].flatten(1)
            drawn = torch.multinomial(scores.detach().exp().T, 1, generator=generator)
            scores.T.gather(1, drawn).sum().backward()
    return {name: total / len(patches) for name, total in found.items()}


def _adding(total: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def with_gradient(gradient: Tensor) -> None:
        rows = gradient.movedim(1, 0).flatten(1)
        total.add_((rows @ rows.T).double())

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.register_hook(with_gradient)  # type: ignore[no-untyped-call]

    return hook

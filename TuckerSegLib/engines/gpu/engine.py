"""The network rewritten for an NVIDIA GPU: its norms do not undo channels-last, and its weights are in half once."""

import torch
from torch import Tensor, nn

from ..base import Source
from ..fused.channels_last import channels_last, memory_format
from ..fused.rewriting import narrowed
from ..torch import cudnn_tries_its_algorithms
from .blocks import GpuBlock, GpuNorm
from .graph import Replayed
from .padding import with_ranks_in_eights

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class GpuEngine:
    """Half precision, as nnU-Net's own on a GPU, by fewer and faster kernels; the same answers within its rounding."""

    name, is_reference, is_rounded, has_layer_times = "fused", False, False, True

    def supports(self, device: torch.device) -> bool:
        return device.type == "cuda"

    def prepare(self, source: Source, device: torch.device) -> "GpuNetwork":
        with torch.no_grad():
            network = in_half(source.load(), torch.half, len(source.patch) + 1).to(device)
            return GpuNetwork(network, torch.zeros(1, *source.patch, device=device))


class GpuNetwork:
    engine = "fused"

    def __init__(self, network: nn.Module, patch: Tensor) -> None:
        self._network = network
        self.memory = sum(p.numel() * p.element_size() for p in (*network.parameters(), *network.buffers()))
        with torch.inference_mode():
            self._replayed = Replayed(self._run, channels_last(patch.half()))

    def __call__(self, patches: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._replayed(patches)

    def _run(self, patches: Tensor) -> Tensor:
        with torch.autocast("cuda", enabled=False), cudnn_tries_its_algorithms():
            answer: Tensor = self._network(channels_last(patches.half()))
            return answer


def in_half(network: nn.Module, half: torch.dtype, dimensions: int) -> nn.Module:
    """The network's blocks made narrow, and its convolutions of the type `half` and channels-last."""
    rewritten = narrowed(with_ranks_in_eights(network), GpuBlock, GpuNorm)
    for module in rewritten.modules():
        if isinstance(module, _CONVOLUTIONS):
            module.to(half)
    return rewritten.to(memory_format=memory_format(dimensions))  # type: ignore[call-overload, no-any-return]

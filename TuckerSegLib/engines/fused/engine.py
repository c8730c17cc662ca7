"""PyTorch's own convolutions with channels last in memory, and fused blocks between them: fast on every CPU."""

import torch
from torch import Tensor, fx

from ..base import Source
from .channels_last import channels_last, memory_format
from .rewriting import rewritten


class FusedEngine:
    """Rewrites the network for the CPU; the same answers as PyTorch's within rounding."""

    name, is_reference, is_rounded, has_layer_times = "fused", False, False, True

    def supports(self, device: torch.device) -> bool:
        return device.type == "cpu"

    def prepare(self, source: Source, device: torch.device) -> "FusedNetwork":
        with torch.no_grad():
            network = rewritten(source.load())
            network.to(memory_format=memory_format(len(source.patch) + 1))  # type: ignore[call-overload]
            return FusedNetwork(network)


class FusedNetwork:
    engine = "fused"

    def __init__(self, network: fx.GraphModule) -> None:
        self._network = network

    @property
    def memory(self) -> int:
        return sum(p.numel() * p.element_size() for p in (*self._network.parameters(), *self._network.buffers()))

    def __call__(self, patches: Tensor) -> Tensor:
        with torch.inference_mode():
            answer: Tensor = self._network(channels_last(patches.to(torch.float32)))
            return answer

"""PyTorch, on every device it knows: the engine that gives nnUNetv2_predict's own labels, voxel for voxel."""

import torch
from torch import Tensor, nn

from .base import Source


class TorchEngine:
    """Runs the network as it is; nnU-Net's sliding window sees to autocast on GPUs."""

    name = "torch"

    def supports(self, device: torch.device) -> bool:
        return True

    def prepare(self, source: Source, device: torch.device) -> "TorchNetwork":
        network = source.load().to(device)
        if device.type == "cuda" and len(source.patch) == 4:
            network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return TorchNetwork(network)


class TorchNetwork:
    engine = "torch"

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.memory = sum(p.numel() * p.element_size() for p in (*network.parameters(), *network.buffers()))

    def __call__(self, patches: Tensor) -> Tensor:
        with torch.inference_mode():
            answer: Tensor = self._network(patches)
        return answer

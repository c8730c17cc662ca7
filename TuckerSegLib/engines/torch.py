"""PyTorch, on every device it knows: the engine that gives nnUNetv2_predict's own labels, voxel for voxel."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .base import Source

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class TorchEngine:
    """Runs the network as it is; on NVIDIA's GPUs with autocast to half precision, as nnU-Net does."""

    name, is_reference, is_rounded, has_layer_times = "torch", True, False, False

    def supports(self, device: torch.device) -> bool:
        return True

    def prepare(self, source: Source, device: torch.device) -> "TorchNetwork | HalfTorchNetwork":
        network = source.load().to(device)
        if device.type == "cpu":
            return TorchNetwork(network)
        prepared = HalfTorchNetwork(network) if device.type == "cuda" else TorchNetwork(network)
        # What a GPU cannot do, or has no memory for, it says now.
        prepared(torch.zeros(1, *source.patch, device=device)).sum().item()
        return prepared


class TorchNetwork:
    engine = "torch"

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.memory = sum(p.numel() * p.element_size() for p in (*network.parameters(), *network.buffers()))

    def __call__(self, patches: Tensor) -> Tensor:
        with torch.inference_mode():
            answer: Tensor = self._network(patches)
        return answer


class HalfTorchNetwork(TorchNetwork):
    """As autocast would run it, but that the weights of `network` are in half precision once and for all.

    Autocast keeps what it made of a weight for the next patch only while that is trained.
    """

    def __init__(self, network: nn.Module, device: str = "cuda", dtype: torch.dtype = torch.half) -> None:
        for module in network.modules():
            if isinstance(module, _CONVOLUTIONS):
                module.to(dtype)
        super().__init__(network)
        self._device, self._dtype = device, dtype

    def __call__(self, patches: Tensor) -> Tensor:
        with torch.autocast(self._device, self._dtype), cudnn_tries_its_algorithms():
            return super().__call__(patches)


@contextmanager
def cudnn_tries_its_algorithms() -> Iterator[None]:
    """Worth it, since all patches are of one size."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before

"""A network in the form that trains fastest on a processor."""

# mypy: allow-untyped-calls

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def for_training(network: nn.Module, device: torch.device) -> nn.Module:
    """Move `network` to `device`, in place; the names and shapes of its weights stay.

    On a processor its 3D layers keep channels last, which oneDNN runs without reordering. PyTorch's instance
    normalisation is slow in that order; its batch normalisation of one image, which is the same thing, is not.
    """
    network.to(device)
    if device.type != "cpu":
        return network
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, nn.InstanceNorm3d) and not child.track_running_stats:
                parent._modules[name] = _NormOfEach(child)
    for parameter in network.parameters():
        parameter.data = in_order(parameter.data)
    return network


def in_order(tensor: Tensor) -> Tensor:
    """Patches (N, C, *spatial), or a kernel, in the memory order of `for_training`."""
    if tensor.ndim == 5 and tensor.device.type == "cpu":
        return tensor.contiguous(memory_format=torch.channels_last_3d)
    return tensor


def half_precision(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):  # or was told to use no more
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and any(capabilities.get(kind) for kind in ("avx512_bf16", "amx_bf16"))


class _NormOfEach(nn.Module):
    """Instance normalisation with the weights of `norm`."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return _joined([functional.batch_norm(one, None, None, self.weight, self.bias, True, 0.0, self._eps)
                        for one in x.split(1)])  # fmt: skip


def _joined(images: Sequence[Tensor]) -> Tensor:
    return images[0] if len(images) == 1 else torch.cat(list(images))

"""A network's convolutions, and how many parameters and multiply-adds they take."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .tucker import CONVOLUTIONS, Convolution, is_decomposable


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """Every convolution in use that has a Tucker-2 form, once, under the first name it is registered by."""
    unused = set(_unused_heads(network))
    return {n: module for n, module in network.named_modules() if is_decomposable(module) and module not in unused}


def count_parameters(network: nn.Module) -> int:
    """Every parameter once; deep-supervision heads, which inference does not use, are not counted."""
    unused = {id(p) for head in _unused_heads(network) for p in head.parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in unused)


def multiply_adds(network: nn.Module, patch: Sequence[int]) -> dict[str, int]:
    """Multiply-adds by layer for one patch (C, *spatial), counted as fvcore does.

    That is one for each product of a convolution, and 5 (4 without affine terms) for each voxel of a normalisation's
    input. The network runs on tensors without data, so it may be on any device, "meta" too.
    """
    counts: dict[str, int] = {}
    shell = without_data(network).eval()
    for name, module in shell.named_modules():
        if isinstance(module, (*CONVOLUTIONS, *_NORMS)):
            module.register_forward_hook(_counting(name, counts))
    _run(shell, patch)
    return counts


def input_shapes(network: nn.Module, patch: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shape of each convolution's input, (C, *spatial), where the network's is one patch (C, *spatial)."""
    shapes: dict[str, tuple[int, ...]] = {}
    shell = without_data(network).eval()
    for name, layer in convolutions(shell).items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: shapes.update({name: tuple(inputs[0].shape[1:])}))
    _run(shell, patch)
    return shapes


def _run(shell: nn.Module, patch: Sequence[int]) -> None:
    """Run the network on a patch without data, for the sake of its hooks."""
    with torch.no_grad(), _ShapesAlone():
        shell(torch.empty((1, *patch), device="meta"))


class _ShapesAlone(TorchFunctionMode):
    """Works out the shapes of what some functions give, without calling them.

    On the device "meta" PyTorch would import its compiler for them, which takes seconds and memory.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (functional.instance_norm, functional.batch_norm, functional.leaky_relu, functional.relu):
            return args[0]
        if function is torch.cat:
            parts, axis = args if len(args) == 2 else (args[0], (kwargs or {}).get("dim", 0))
            shape = list(parts[0].shape)
            shape[axis] = sum(part.shape[axis] for part in parts)
            return parts[0].new_empty(shape)
        return function(*args, **(kwargs or {}))


def without_data(network: nn.Module) -> nn.Module:
    """A copy of the network's structure on the device "meta", whose tensors have shapes and take no memory."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(t): _shape_of(t) for t in tensors})


def _shape_of(tensor: Tensor) -> Tensor:
    shape = tensor.detach().to("meta")
    return nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape


_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d, nn.BatchNorm2d, nn.BatchNorm3d)


def _counting(name: str, counts: dict[str, int]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts[name] = counts.get(name, 0) + _cost(module, inputs[0], output)

    return hook


def _cost(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, _NORMS):
        return x.numel() * (5 if module.affine else 4)
    transposed = isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d))
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight.numel() * math.prod((x if transposed else y).shape[2:])


def _unused_heads(network: nn.Module) -> Iterator[nn.Module]:
    """nnU-Net's decoder has a head for every resolution and uses only the last when not deeply supervised."""
    for module in network.modules():
        if getattr(module, "deep_supervision", None) is False and isinstance(
            heads := getattr(module, "seg_layers", None), nn.ModuleList
        ):
            yield from list(heads)[:-1]

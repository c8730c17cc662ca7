"""One network: choose the ranks, decompose every convolution, swap it in, and say what that did."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .ranks import RankPolicy
from .tucker import CONVOLUTIONS, Convolution, Ranks, TuckerConv, is_decomposable, kernel_of

Step = Callable[[int, int], None]
"""Called with (layers done, layers in all)."""


@dataclass(frozen=True)
class LayerReport:
    """What became of one convolution; `ranks` is None where it stayed as it was."""

    name: str
    ranks: Ranks | None
    parameters_before: int
    parameters: int
    error: float
    """Relative reconstruction error of the kernel, ||W - W'|| / ||W||."""
    seconds: float


@dataclass(frozen=True)
class Report:
    """What `compress` did. Parameters are those of the whole network, each counted once."""

    layers: tuple[LayerReport, ...]
    parameters_before: int
    parameters: int
    multiply_adds_before: int | None
    """For one patch; None where no patch was named."""
    multiply_adds: int | None
    multiply_adds_by_layer: Mapping[str, int] | None

    @property
    def seconds(self) -> float:
        return sum(layer.seconds for layer in self.layers)

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "seconds": self.seconds}


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """Every convolution in use that has a Tucker-2 form, once, under the first name it is registered by."""
    unused = set(_unused_heads(network))
    return {n: module for n, module in network.named_modules() if is_decomposable(module) and module not in unused}


def compress(
    network: nn.Module,
    policy: RankPolicy,
    *,
    patch: Sequence[int] | None = None,
    in_place: bool = False,
    step: Step | None = None,
) -> tuple[nn.Module, Report]:
    """Replace the network's convolutions by their decompositions at the policy's ranks.

    Args:
        network: left untouched unless `in_place`; modules registered under several names are replaced under all.
        patch: the input's shape as (C, *spatial), to count multiply-adds for.
        step: told of progress, layer by layer.
    """
    network = network if in_place else copy.deepcopy(network)
    layers = convolutions(network)
    ranks = policy.choose(layers)
    parameters, work = count_parameters(network), patch and multiply_adds(network, patch)
    reports = []
    with _one_thread_a_layer() as pool:
        jobs = [pool.submit(_decomposed, name, layer, ranks.get(name)) for name, layer in layers.items()]
        for done, (layer, job) in enumerate(zip(layers.values(), jobs, strict=True)):
            replacement, report = job.result()
            swap(network, {layer: replacement})
            reports.append(report)
            if step:
                step(done + 1, len(layers))
    work_after = patch and multiply_adds(network, patch)
    return network, Report(
        tuple(reports),
        parameters,
        count_parameters(network),
        sum(work.values()) if work else None,
        sum(work_after.values()) if work_after else None,
        work_after or None,
    )


def reshape(network: nn.Module, ranks: Mapping[str, Ranks]) -> nn.Module:
    """Give `network`, in place, the form that `compress` gives it at these ranks, without any weights to speak of.

    What a compressed network's stored weights are loaded into.
    """
    layers = convolutions(network)
    swap(network, {layers[name]: TuckerConv.like(layers[name], ranks[name]) for name in ranks})
    return network


def chosen_ranks(report: Report) -> dict[str, Ranks]:
    """The ranks of the layers that were decomposed: what `reshape` wants."""
    return {layer.name: layer.ranks for layer in report.layers if layer.ranks is not None}


def count_parameters(network: nn.Module) -> int:
    """Every parameter once; deep-supervision heads, which inference does not use, are not counted."""
    unused = {id(p) for head in _unused_heads(network) for p in head.parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in unused)


def multiply_adds(network: nn.Module, patch: Sequence[int]) -> dict[str, int]:
    """Multiply-adds by layer for one patch (C, *spatial), counted as fvcore does.

    That is one for each product of a convolution and 5 (4 without affine terms) for each voxel that a normalisation
    takes. Runs on tensors without data: `network` may be on any device, "meta" too.
    """
    counts: dict[str, int] = {}
    shell = without_data(network).eval()
    for name, module in shell.named_modules():
        if isinstance(module, (*CONVOLUTIONS, *_NORMS)):
            module.register_forward_hook(_counting(name, counts))
    _run(shell, patch)
    return counts


def input_shapes(network: nn.Module, patch: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """What each convolution is given, (C, *spatial), where the network is given one patch (C, *spatial)."""
    shapes: dict[str, tuple[int, ...]] = {}
    shell = without_data(network).eval()
    for name, layer in convolutions(shell).items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: shapes.update({name: tuple(inputs[0].shape[1:])}))
    _run(shell, patch)
    return shapes


def _run(shell: nn.Module, patch: Sequence[int]) -> None:
    """For the sake of its hooks."""
    with torch.no_grad(), _ShapesAlone():
        shell(torch.empty((1, *patch), device="meta"))


class _ShapesAlone(TorchFunctionMode):
    """On the device "meta" PyTorch imports its compiler for these functions, which takes seconds and memory."""

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
    """A copy of the network's structure on the device "meta": its tensors have shapes and take no memory."""
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


def _decomposed(name: str, layer: Convolution, ranks: Ranks | None) -> tuple[nn.Module, LayerReport]:
    start = time.perf_counter()
    before = _size(layer)
    if ranks is None:
        return layer, LayerReport(name, None, before, before, 0.0, 0.0)
    replacement = TuckerConv.from_conv(layer, ranks)
    seconds = time.perf_counter() - start
    return replacement, LayerReport(name, ranks, before, _size(replacement), _error(layer, replacement), seconds)


@contextmanager
def _one_thread_a_layer() -> Iterator[ThreadPoolExecutor]:
    """Layers side by side, each on one core: the small eigenproblems inside gain nothing from several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _error(layer: Convolution, replacement: TuckerConv) -> float:
    original = kernel_of(layer).double()
    return float(
        torch.linalg.vector_norm(replacement.kernel().double() - original) / torch.linalg.vector_norm(original)
    )


def swap(network: nn.Module, replaced: Mapping[nn.Module, nn.Module]) -> None:
    """Put each replacement wherever its layer is registered, whatever the number of places and names."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in replaced:
                parent._modules[name] = replaced[child]


def _size(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters())

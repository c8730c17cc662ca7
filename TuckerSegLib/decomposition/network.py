"""The decomposition of one network: convolutions are decomposed at given ranks, replaced, and reported on."""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import nn

from ..progress import Progress
from ..threads import set_threads
from .counting import convolutions, count_parameters, multiply_adds
from .tucker import Convolution, Ranks, TuckerConv, kernel_of


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
    """What a policy did to a network. Parameters are those of the whole network, each counted once."""

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


def decompose(
    network: nn.Module,
    ranks: Mapping[str, Ranks],
    patch: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[nn.Module, Report]:
    """The network with its convolutions replaced by their decompositions at `ranks`; those without any stay whole.

    Args:
        network: left untouched; modules registered under several names are replaced under all.
        ranks: of layers by name, as `convolutions` names them.
        patch: the input's shape as (C, *spatial), to count multiply-adds for.
        progress: told of the stage "compress", layer by layer.

    Raises:
        Cancelled: `progress` was cancelled; at the latest after the current layer.
    """
    progress = progress or Progress()
    progress.stage("compress")
    small = copy.deepcopy(network)
    layers = convolutions(small)
    reports = []
    with _one_thread_a_layer() as pool:
        jobs = [pool.submit(_decomposed, name, layer, ranks.get(name)) for name, layer in layers.items()]
        for done, (layer, job) in enumerate(zip(layers.values(), jobs, strict=True)):
            progress.step(done, len(layers))
            replacement, report = job.result()
            swap(small, {layer: replacement})
            reports.append(report)
    return small, report_of(network, small, reports, patch)


def report_of(
    network: nn.Module, small: nn.Module, layers: Sequence[LayerReport], patch: Sequence[int] | None
) -> Report:
    """What making `small` of `network` did as a whole, for one patch (C, *spatial)."""
    before, after = (patch and multiply_adds(one, patch) for one in (network, small))
    return Report(
        tuple(layers),
        count_parameters(network),
        count_parameters(small),
        sum(before.values()) if before else None,
        sum(after.values()) if after else None,
        after or None,
    )


def reshape(network: nn.Module, ranks: Mapping[str, Ranks]) -> nn.Module:
    """Give `network`, in place, the form that `decompose` gives it at these ranks, without any weights to speak of.

    What a compressed network's stored weights are loaded into.
    """
    layers = convolutions(network)
    swap(network, {layers[name]: TuckerConv.like(layers[name], ranks[name]) for name in ranks})
    return network


def chosen_ranks(report: Report) -> dict[str, Ranks]:
    """The ranks of the layers that were decomposed: what `reshape` wants."""
    return {layer.name: layer.ranks for layer in report.layers if layer.ranks is not None}


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
    set_threads(1)
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        set_threads(threads)


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

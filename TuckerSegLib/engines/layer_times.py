"""How long a layer takes on this computer, dense or decomposed: measured once, kept on disk."""

import copy
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..decomposition.tucker import Convolution, Ranks, TuckerConv
from ..progress import Progress
from ..store import Store
from .base import Source
from .fused.channels_last import channels_last
from .fused.engine import FusedEngine, FusedNetwork

_VOXELS = 250_000
"""Of a layer's input, at most: enough for times to be in proportion to those of whole patches, which no cache holds."""

_RUNS = 4

_SECONDS = 0.1
"""After so many runs or seconds, the best of the runs counts."""

_FORMAT = 6

_NORMS = {4: nn.InstanceNorm3d, 3: nn.InstanceNorm2d}

_POINTWISE = {4: nn.Conv3d, 3: nn.Conv2d}


class LayerTimes:
    """Seconds that layers take in the fused engine; what was measured before is read from `store`.

    Whoever cancels `progress` ends it before the next measurement.
    """

    def __init__(self, store: Store, progress: Progress | None = None) -> None:
        self._store, self._progress = store, progress or Progress()
        threads = torch.get_num_threads()
        self._key = f"layer times {_FORMAT} {platform.node()} {platform.processor()} {threads} {torch.__version__}"
        self._known: dict[str, float] = store.read_json(self._key) or {}

    def seconds(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> float:
        """Of a layer with its norm and activation on an input (C, *spatial), cropped where it is large."""
        name = _name(layer, shape, ranks)
        if name not in self._known:
            self._progress.check()
            small = cropped(shape)
            self._known[name] = best_seconds(_prepared(alone(layer, ranks), small), small)
        return self._known[name]

    def is_known(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> bool:
        """Whether `seconds` would answer at once."""
        return _name(layer, shape, ranks) in self._known

    def keep(self) -> None:
        """Write down what was measured."""
        self._store.write_json(self._key, self._known)


def _name(layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> str:
    kind = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return f"{type(layer).__name__} {kind} {cropped(shape)} {tuple(ranks or ())}"


def cropped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, *spatial), halved along its longest axis until it is small enough to be timed."""
    channels, *spatial = shape
    while torch.Size(spatial).numel() > _VOXELS:
        longest = spatial.index(max(spatial))
        spatial[longest] = -(-spatial[longest] // 2)
    return (channels, *spatial)


def alone(layer: Convolution, ranks: Ranks | None) -> nn.Module:
    """The layer with weights of no meaning, and what stands behind it in a compressed nnU-Net; nothing behind heads."""
    shell = copy.deepcopy(layer).to_empty(device="cpu")
    shell.reset_parameters()
    replaced = TuckerConv.like(shell, ranks) if ranks else shell
    if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)) or set(layer.kernel_size) == {1}:
        return nn.Sequential(replaced).eval()
    norm = _NORMS[layer.weight.dim() - 1](layer.out_channels, affine=True)
    first = _POINTWISE[layer.weight.dim() - 1](layer.out_channels, max(layer.out_channels // 4, 1), 1, bias=False)
    return nn.Sequential(replaced, norm, nn.LeakyReLU(inplace=True), first).eval()


def best_seconds(run: Callable[[Tensor], object], shape: tuple[int, ...]) -> float:
    """The best of some runs on one patch (C, *spatial), after one that does not count."""
    patch = channels_last(torch.randn(1, *shape))
    run(patch)
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _SECONDS:
        start = time.perf_counter()
        run(patch)
        times.append(time.perf_counter() - start)
    return min(times)


def _prepared(network: nn.Module, shape: tuple[int, ...]) -> FusedNetwork:
    return FusedEngine().prepare(Source("", lambda: network.requires_grad_(False), shape), torch.device("cpu"))

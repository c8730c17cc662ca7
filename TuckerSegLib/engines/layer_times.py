"""How long a layer takes on this computer, dense or decomposed: measured once, kept on disk."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from ..decomposition.tucker import Convolution, Ranks, TuckerConv
from ..progress import Progress
from ..store import Store
from .base import Source
from .fused.channels_last import channels_last
from .fused.engine import FusedEngine, FusedNetwork
from .timing.processor import circumstances
from .timing.stopwatch import shortest_seconds

_VOXELS = 250_000
"""Voxels of a layer's input at most: enough for times in proportion to those of whole patches, which no cache holds."""

_FORMAT = 7

_NORMS = {4: nn.InstanceNorm3d, 3: nn.InstanceNorm2d}

_POINTWISE = {4: nn.Conv3d, 3: nn.Conv2d}


class LayerTimes:
    """Seconds that layers take in the fused engine; what was measured before is read from `store`.

    Whoever cancels `progress` ends it before the next measurement.
    """

    def __init__(self, store: Store, progress: Progress | None = None) -> None:
        self._store, self._progress = store, progress or Progress()
        self._key = f"layer times {_FORMAT} {circumstances()}"
        self._known: dict[str, float] = store.read_json(self._key) or {}

    def seconds(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> float:
        """What a layer with its norm and activation takes on an input (C, *spatial), cropped where that is large."""
        self.measure(layer, shape, [ranks])
        return self._known[_name(layer, shape, ranks)]

    def measure(self, layer: Convolution, shape: tuple[int, ...], forms: Sequence[Ranks | None]) -> None:
        """Time those of a layer's forms that were not timed before, in turns, as they are to be compared."""
        small = cropped(shape)
        unknown = [form for form in dict.fromkeys(forms) if not self.is_known(layer, shape, form)]
        patch = channels_last(torch.randn(1, *small))
        runs = [partial(self._prepared(alone(layer, form), small), patch) for form in unknown]
        for run in runs:
            self._progress.check()
            run()
        seconds = shortest_seconds(runs, self._progress.check)
        for form, taken in zip(unknown, seconds, strict=True):
            self._known[_name(layer, shape, form)] = taken

    def is_known(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> bool:
        """Whether `seconds` would answer at once."""
        return _name(layer, shape, ranks) in self._known

    def keep(self) -> None:
        """Write down what was measured; what another process wrote down in the meantime holds."""
        self._known |= self._store.read_json(self._key) or {}
        self._store.write_json(self._key, self._known)

    def _prepared(self, network: nn.Module, shape: tuple[int, ...]) -> FusedNetwork:
        source = Source("", lambda: network.requires_grad_(False), shape)
        return FusedEngine(self._store).prepare(source, torch.device("cpu"))


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

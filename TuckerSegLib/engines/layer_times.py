"""How long a layer takes on this computer, dense or decomposed: measured once, kept on disk."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from ..decomposition.tucker import Convolution, Ranks, TuckerConv
from ..progress import Progress
from ..store import Json, Store
from .timing.bench import Bench, bench_on
from .timing.stopwatch import shortest_seconds

_VOXELS = 250_000
"""Voxels of a layer's input at most: enough for times in proportion to those of whole patches, which no cache holds."""

_FORMAT = 7

_NORMS = {4: nn.InstanceNorm3d, 3: nn.InstanceNorm2d}

_POINTWISE = {4: nn.Conv3d, 3: nn.Conv2d}


class LayerTimes:
    """Seconds that layers take in the fused engine; what was measured before is read from `store`.

    Whoever cancels `progress` ends it before the next measurement. They are timed on `bench`, the CPU's unless told.
    """

    def __init__(self, store: Store, progress: Progress | None = None, bench: Bench | None = None) -> None:
        self._store, self._progress = store, progress or Progress()
        self._bench = bench or bench_on(torch.device("cpu"))
        self._key = f"layer times {_FORMAT} {self._bench.circumstances}"
        self._known: dict[str, float] = store.read_json(self._key) or {}

    def choice(self, what: str) -> Json | None:
        """What was chosen by such times before, under a name for `what`."""
        return self._store.choice(f"{what} by {self._key}")

    def choose(self, what: str, content: Json) -> Json:
        """Keep what was chosen by these times; what holds, if another process chose before."""
        return self._store.choose(f"{what} by {self._key}", content)

    def seconds(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> float:
        """What a layer with its norm and activation takes on an input (C, *spatial), cropped where that is large."""
        self.measure(layer, shape, [ranks])
        return self._known[self._name(layer, shape, ranks)]

    def measure(self, layer: Convolution, shape: tuple[int, ...], forms: Sequence[Ranks | None]) -> None:
        """Time those of a layer's forms that were not timed before, in turns, as they are to be compared."""
        small = cropped(shape, self._bench.voxels)
        unknown = [form for form in dict.fromkeys(forms) if not self.is_known(layer, shape, form)]
        patch = self._bench.patch(small)
        made = [alone(layer, form).requires_grad_(False) for form in unknown]
        runs = [partial(self._bench.prepared(network, small), patch) for network in made]
        for run in runs:
            self._progress.check()
            run()
        seconds = shortest_seconds(runs, self._progress.check, clock=self._bench.clock)
        for form, taken in zip(unknown, seconds, strict=True):
            self._known[self._name(layer, shape, form)] = taken

    def is_known(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> bool:
        """Whether `seconds` would answer at once."""
        return self._name(layer, shape, ranks) in self._known

    def keep(self) -> None:
        """Write down what was measured; what another process wrote down in the meantime holds."""
        self._known |= self._store.read_json(self._key) or {}
        self._store.write_json(self._key, self._known)

    def _name(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> str:
        kind = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        return f"{type(layer).__name__} {kind} {cropped(shape, self._bench.voxels)} {tuple(ranks or ())}"


def cropped(shape: tuple[int, ...], voxels: int = _VOXELS) -> tuple[int, ...]:
    """(C, *spatial), halved along its longest axis until it is small enough to be timed."""
    channels, *spatial = shape
    while torch.Size(spatial).numel() > voxels:
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

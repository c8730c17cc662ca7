"""How long the parts of a layer take on this computer in the fused engine: measured once, kept on disk.

Between two decomposed layers the engine never holds the wide activation: one layer's *last*, the norm, the activation
and the next layer's *first* are one block (`fused`). So the cost of a decomposed layer has three parts that are timed
apart, each as the engine runs it within a network:

- its *core*, which depends on both ranks;
- what the block before it does for its *first*, in proportion to R_in;
- its block's *last*, norm and activation, which depend on R_out.

A layer that stays whole is timed with its norm and activation. Multiples of 8 are measured, on a grid, because a
processor works on several channels at once; what others take is interpolated, and the same up to the next multiple.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ...decomposition.budget import Seconds
from ...decomposition.spectra import Values
from ...decomposition.tucker import Convolution, Ranks, TuckerConv
from ...store import Store
from .bench import Bench, Clock, bench_on
from .whole_times import with_values

_ROUNDS = 12
_SECONDS = 0.1
"""After so many runs or seconds, the best of the runs counts."""
_FORMAT = 2
_NORMS: dict[int, type[nn.Module]] = {3: nn.InstanceNorm3d, 2: nn.InstanceNorm2d}
_POINTWISE: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {3: nn.Conv3d, 2: nn.Conv2d}


class PartTimes:
    """Seconds of layers in the fused engine, from those of their parts; what is known is read from `store`.

    Args:
        check: called before each measurement; may raise to stop.
        clock: tells seconds; that of `bench` unless given. That of the process alone, with one thread, is steady on a
            busy computer.
        bench: where parts are timed; on the CPU unless told.
    """

    def __init__(
        self,
        store: Store,
        check: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
        bench: Bench | None = None,
    ) -> None:
        self._bench = bench or bench_on(torch.device("cpu"))
        self._store, self._check, self._clock = store, check, clock or self._bench.clock
        self._key = f"part times {_FORMAT} {self._bench.circumstances}"
        self._known: dict[str, float] = store.read_json(self._key) or {}

    def of_layers(self, layers: Mapping[str, Convolution], shapes: Mapping[str, Sequence[int]]) -> dict[str, Seconds]:
        """The seconds of each layer with an input of `shapes` (I, *spatial): dense, and (O, I) decomposed."""
        found = {}
        for name, layer in layers.items():
            found[name] = self.seconds(layer, shapes[name])
            self.keep()
        return found

    def seconds(self, layer: Convolution, shape: Sequence[int]) -> Seconds:
        """The seconds of one layer, with its norm and activation, on an input (I, *spatial)."""
        spatial = tuple(shape[1:])
        if set(layer.kernel_size) == {1}:
            return self._head(layer, spatial)
        outs, intos = (_nodes(count, self._bench.together) for count in (layer.out_channels, layer.in_channels))
        core = np.array([[self._core(layer, spatial, Ranks(out, into)) for into in intos] for out in outs])
        transposed = isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d))
        after = _spatial_after(layer, spatial)
        # Nothing but the next layer's *first* comes after a transposed convolution, and both are composed.
        block = [
            0.0 if transposed else self._block(out, layer.out_channels, after, self._bench.together) for out in outs
        ]
        found = _interpolated(core + np.array(block)[:, None], outs, intos, layer, self._bench.together)
        # Where all outputs are kept there is no *last*.
        wide = np.array([self._dense(layer, spatial, into) for into in intos])
        found[-1] = np.interp(_every(layer.in_channels, self._bench.together), intos, wide)
        first = self._each_consumed(layer.in_channels, spatial) * np.arange(1, layer.in_channels + 1)
        return Seconds(self._dense(layer, spatial, layer.in_channels), found + first)

    def keep(self) -> None:
        """Write down what was measured."""
        self._store.write_json(self._key, self._known)

    def _head(self, layer: Convolution, spatial: tuple[int, ...]) -> Seconds:
        """The seconds of a network's last layer, which is applied once patches are averaged: its features count."""
        each = self._each_added(spatial)
        into = np.arange(1, layer.in_channels + 1)
        narrow = into * (each + self._each_consumed(layer.in_channels, spatial))
        out = np.arange(1, layer.out_channels + 1)[:, None]
        # Cut within the layer where that is narrowest, the engine keeps the fewer of both ranks' channels.
        kept = np.minimum(out, into)
        return Seconds(each * layer.in_channels, np.where(out < into, narrow - (into - kept) * each, narrow))

    def _core(self, layer: Convolution, spatial: tuple[int, ...], ranks: Ranks) -> float:
        name = f"core {_kind(layer)} {tuple(ranks)}"
        return self._timed(name, (ranks.into, *spatial), lambda: nn.Sequential(TuckerConv.like(layer, ranks).core))

    def _dense(self, layer: Convolution, spatial: tuple[int, ...], into: int) -> float:
        """The seconds of the layer with `into` inputs, its norm, its activation, and reading that once more."""
        dimensions = len(spatial)

        def made() -> nn.Module:
            whole = TuckerConv.like(layer, Ranks(layer.out_channels, into)).core
            if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
                return nn.Sequential(whole)
            norm = _NORMS[dimensions](layer.out_channels, affine=True)
            consumer = _POINTWISE[dimensions](layer.out_channels, self._bench.together, 1, bias=False)
            return nn.Sequential(whole, norm, nn.LeakyReLU(0.01), consumer)

        found = self._timed(f"wide {_kind(layer)} {into}", (into, *spatial), made)
        if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
            return found
        after = _spatial_after(layer, spatial)
        return max(0.5 * found, found - self._bench.together * self._each_consumed(layer.out_channels, after))

    def _block(self, rank: int, channels: int, spatial: tuple[int, ...], consumer: int) -> float:
        """*last* from `rank` to `channels`, norm, activation, and a *first* to `consumer` channels."""
        pointwise, norm = _POINTWISE[len(spatial)], _NORMS[len(spatial)]

        def made() -> nn.Module:
            return nn.Sequential(
                pointwise(rank, channels, 1),
                norm(channels, affine=True),
                nn.LeakyReLU(0.01),
                pointwise(channels, consumer, 1, bias=False),
            )

        return self._timed(f"block {rank} {channels} {consumer}", (rank, *spatial), made)

    def _each_consumed(self, channels: int, spatial: tuple[int, ...]) -> float:
        """What one channel of a *first* takes within a block of `channels`."""
        if channels <= self._bench.together:
            return 0.0
        wide = self._block(self._bench.together, channels, spatial, channels)
        narrow = self._block(self._bench.together, channels, spatial, self._bench.together)
        return max(0.0, wide - narrow) / (channels - self._bench.together)

    def _each_added(self, spatial: tuple[int, ...]) -> float:
        """What one channel of a patch takes to be weighted and added to the others."""
        return (
            self._timed(
                "added",
                (self._bench.together, *spatial),
                lambda: _Added((self._bench.together, *_cropped(spatial, self._bench.voxels))),
            )
            / self._bench.together
        )

    def _timed(self, name: str, shape: tuple[int, ...], made: Callable[[], nn.Module]) -> float:
        small = (shape[0], *_cropped(shape[1:], self._bench.voxels))
        key = f"{name} {small}"
        if key not in self._known:
            self._check()
            self._known[key] = _best_seconds(made(), small, self._clock, self._bench)
        return self._known[key] * math.prod(shape) / math.prod(small)


class _Added(nn.Module):
    """Adds weighted patches up, as a sliding window does."""

    sums: Tensor
    weight: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(shape))
        self.register_buffer("weight", torch.ones(shape[1:]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.sums.add_(x[0] * self.weight)
        return found


def _best_seconds(network: nn.Module, shape: tuple[int, ...], clock: Clock, bench: Bench) -> float:
    """The best of some runs on one input (C, *spatial), after one that does not count."""
    adds = isinstance(network, _Added)
    run = network.to(bench.device) if adds else bench.prepared(with_values(network), shape)
    patch = bench.patch(shape)
    with torch.inference_mode():
        run(patch)
        times: list[float] = []
        while len(times) < _ROUNDS and (len(times) < 4 or sum(times) < _SECONDS):
            start = clock()
            run(patch)
            times.append(clock() - start)
    return min(times)


def _kind(layer: Convolution) -> str:
    return f"{type(layer).__name__} {layer.in_channels} {layer.out_channels} {layer.kernel_size} {layer.stride}"


def _cropped(spatial: Sequence[int], voxels: int) -> tuple[int, ...]:
    """Halved along its longest axis until it is small enough to be timed."""
    sizes = list(spatial)
    while math.prod(sizes) > voxels:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(sizes)


def _spatial_after(layer: Convolution, spatial: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return tuple(size * stride for size, stride in zip(spatial, layer.stride, strict=True))
    return tuple(-(-size // stride) for size, stride in zip(spatial, layer.stride, strict=True))


def _nodes(channels: int, together: int) -> list[int]:
    """The lowest multiple, the one nearest above the half, and all channels."""
    return sorted({min(together, channels), _up(channels / 2, channels, together), channels})


def _up(rank: float, channels: int, together: int) -> int:
    return min(math.ceil(rank / together) * together, channels)


def _interpolated(
    measured: Values, outs: Sequence[int], intos: Sequence[int], layer: Convolution, together: int
) -> Values:
    """(O, I) from what was measured at the nodes, along one axis after the other."""
    along_in = np.apply_along_axis(partial(np.interp, _every(layer.in_channels, together), intos), 1, measured)
    both: Values = np.apply_along_axis(partial(np.interp, _every(layer.out_channels, together), outs), 0, along_in)
    return both


def _every(channels: int, together: int) -> list[int]:
    """The multiple that each rank takes as long as."""
    return [_up(rank + 1, channels, together) for rank in range(channels)]

"""How long whole networks take on this computer, in turns, so that they can be compared on a busy one too."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ...decomposition.tucker import TuckerConv
from .bench import Bench, Clock, bench_on
from .stopwatch import shortest_seconds

_AGREES = 1.03
"""A network's two shortest times agree within this factor: a tenth of a second is easily held up."""


def network_seconds(
    made: Sequence[Callable[[], nn.Module]],
    patch: Sequence[int],
    check: Callable[[], None] = lambda: None,
    clock: Clock | None = None,
    bench: Bench | None = None,
) -> list[float]:
    """The shortest time of each network on one patch (C, *spatial), in the fused engine, in turns.

    What the networks give is weighted and added up, as a sliding window does; their weights get values of no meaning.
    `check` is called before each run; it may raise to stop. `clock` tells seconds; that of `bench` unless given.
    """
    bench = bench or bench_on(torch.device("cpu"))
    sums: dict[torch.Size, Tensor] = {}
    runs = [_Network(one(), patch, sums, bench).run for one in made]
    for run in runs:
        check()
        run()
    return shortest_seconds(runs, check, clock=clock or bench.clock, agrees=_AGREES)


def with_values(network: nn.Module) -> nn.Module:
    """`network` on the CPU with ordinary numbers for its parameters: with those that memory holds it can be slow."""
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 1.0
        parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    for layer in network.modules():
        if isinstance(layer, TuckerConv) and layer.last.in_channels == layer.last.out_channels:
            layer.last.weight.copy_(torch.eye(layer.last.out_channels).reshape(layer.last.weight.shape))
    return network


class _Network:
    """A network ready to run; the `sums` of answers of one shape are shared by all, as they take much memory."""

    def __init__(self, network: nn.Module, patch: Sequence[int], sums: dict[torch.Size, Tensor], bench: Bench) -> None:
        self._run, self._patch = bench.prepared(with_values(network), patch), bench.patch(patch)
        self._sums = sums

    def run(self) -> None:
        with torch.inference_mode():
            answer = self._run(self._patch)[0]
            if answer.shape not in self._sums:
                self._sums[answer.shape] = torch.zeros(answer.shape, device=answer.device)
            answer *= 1.0
            for channel, added in zip(answer, self._sums[answer.shape], strict=True):
                added += channel

"""Convolutions by what is fastest at them here.

That is oneDNN, where it is there, whatever their size, as PyTorch leaves small ones to much slower code of its own; or
Winograd's algorithm, where that was faster when both were tried.
"""

import time
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from ...store import Store
from ..timing.processor import circumstances
from .channels_last import channels_last
from .compiled.winograd import Winograd

_FORMAT = 1
"""Changes when one of the algorithms becomes faster."""

_TRIAL = (4, 16)
"""Slices and lines of the input that forms are tried on: milliseconds, at most."""

_RUNS, _MOST_RUNS = 2, 10

_TIE = 1.3
"""Times as long as the usual form that Winograd's may take: it gains on whole images, and takes less memory."""


def onednn(layer: nn.Conv2d | nn.Conv3d, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any) -> Tensor:
    """`layer` with this weight, bias and padding."""
    answer: Tensor = torch.ops.aten.mkldnn_convolution(
        channels_last(x), weight, bias, padding, layer.stride, layer.dilation, layer.groups
    )
    return answer


class OneDnn(nn.Module):
    """What a plain convolution is, channels last in memory."""

    def __init__(self, layer: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return onednn(self.layer, x, self.layer.weight, self.layer.bias, self.layer.padding)


class Fastest(nn.Module):
    """A convolution that suits Winograd's algorithm: by it, or as usual where that is faster on some lines.

    As usual is by oneDNN, or by PyTorch's own code on computers without it, such as those with Apple's processors.
    """

    def __init__(self, layer: nn.Conv3d, algorithms: "Algorithms | None" = None) -> None:
        super().__init__()
        self.form: nn.Module = OneDnn(layer) if suits_onednn(layer) else layer
        self._algorithms = algorithms or Algorithms()
        self._untried = [layer]

    def forward(self, x: Tensor) -> Tensor:
        if self._untried:
            layer = self._untried.pop()
            lines = channels_last(x[:1, :, : _TRIAL[0], : _TRIAL[1]])
            self.form = self._algorithms.faster(layer, self.form, Winograd(layer), lines)
        answer: Tensor = self.form(x)
        return answer


class Algorithms:
    """Which convolutions Winograd's algorithm is faster at on this computer: tried once, and kept in `store`.

    So a network gives the same answers to the bit on another day, whatever else the computer did while it was tried.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store, self._key = store, f"convolutions {_FORMAT} {circumstances()}"
        self._lock = Lock()
        self._winograd_is_faster: dict[str, bool] = {}

    def faster(self, layer: nn.Conv3d, usual: nn.Module, winograd: nn.Module, x: Tensor) -> nn.Module:
        """One of the two forms of a layer, of which `x` is a part of an input."""
        name = f"{layer.in_channels} {layer.out_channels} {tuple(x.shape)}"
        with self._lock:
            if name not in self._winograd_is_faster:
                self._winograd_is_faster |= self._kept()
            if name not in self._winograd_is_faster:
                self._winograd_is_faster[name] = _faster(usual, winograd, x) is winograd
                self._winograd_is_faster |= self._kept()  # what another process found in the meantime holds
                if self._store:
                    self._store.write_json(self._key, self._winograd_is_faster)
        return winograd if self._winograd_is_faster[name] else usual

    def _kept(self) -> dict[str, bool]:
        return self._store.read_json(self._key) or {} if self._store else {}


def _faster(usual: nn.Module, other: nn.Module, x: Tensor) -> nn.Module:
    """The faster one by its best run, in turns: few runs where they speak for `other`, more where they do not.

    It was twice as fast wherever it was tried, so it is more likely that something else held it up.
    """
    usual(x), other(x)
    best = {usual: float("inf"), other: float("inf")}
    for run in range(_MOST_RUNS):
        if run >= _RUNS and best[other] < _TIE * best[usual]:
            break
        for form in (usual, other):
            start = time.perf_counter()
            form(x)
            best[form] = min(best[form], time.perf_counter() - start)
    return other if best[other] < _TIE * best[usual] else usual


def suits_onednn(module: Any) -> bool:
    """Whether it is a convolution that oneDNN knows as it is, where there is oneDNN."""
    plain = isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.padding_mode == "zeros"
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return plain and not isinstance(module.padding, str) and available

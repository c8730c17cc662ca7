"""A network's graph, by torch.fx."""

import threading
from collections.abc import Callable
from typing import Any

from torch import fx, nn

_TRACING = threading.Lock()


def traced(network: nn.Module) -> fx.GraphModule:
    """The network as a graph of its layers.

    Raises:
        Exception: whatever torch.fx raises where a network's course depends on its input.
    """
    with _TRACING:
        return fx.GraphModule(network, _Tracer().trace(network))


class _Tracer(fx.Tracer):
    """Traces one thread's calls: while torch.fx traces, it is told of those of every module in every thread."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

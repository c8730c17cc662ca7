"""A network's work on one patch, recorded once and replayed: hundreds of kernels take longer to launch than to run."""

# mypy: allow-untyped-calls

import logging
from collections.abc import Callable

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

_WARM_UP = 3
"""Runs before the recording, in which algorithms are chosen and kernels compiled."""


class Replayed:
    """`run` on patches of one shape, as a CUDA graph; as it is where that cannot be recorded."""

    def __init__(self, run: Callable[[Tensor], Tensor], patch: Tensor) -> None:
        self._run = run
        self._graph: torch.cuda.CUDAGraph | None = None
        self._patch = patch
        self._answer = run(patch)  # what a GPU cannot do, or has no memory for, it says now
        try:
            self._record()
        except Exception as error:
            self._graph = None
            torch.cuda.synchronize(patch.device)
            _log.info("A patch's work cannot be recorded, it is launched kernel by kernel: %s", error)

    def __call__(self, patch: Tensor) -> Tensor:
        if self._graph is None or patch.shape != self._patch.shape:
            return self._run(patch)
        self._patch.copy_(patch)
        self._graph.replay()
        return self._answer.clone()  # the next patch's comes to the same place

    def _record(self) -> None:
        beside = torch.cuda.Stream(self._patch.device)
        beside.wait_stream(torch.cuda.current_stream(self._patch.device))
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP):
                self._run(self._patch)
        torch.cuda.current_stream(self._patch.device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._answer = self._run(self._patch)
        self._graph = graph

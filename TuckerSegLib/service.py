"""What a worker can be asked for, by name; knows nothing of processes and pipes."""

import importlib.util
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from . import peak, structures
from .cache import Cache
from .client import SegmentRequest
from .engines.store import Store
from .errors import InputError
from .models.totalsegmentator import task_names
from .pipeline import run
from .progress import Cancellation, Progress, ProgressCallback
from .protocol import Json
from .ranks import RankPolicy, Relative
from .sliding_window import SlidingWindow
from .tasks import segment_task
from .volume import LabelMap, Volume
from .warm import Warm


@dataclass(frozen=True)
class Answer:
    """A JSON object, and the label map where there is one."""

    result: Json
    label_map: LabelMap | None = None


_IMPORTED_NOW = SlidingWindow
"""It imports most of nnU-Net, which takes seconds: better before the first request than within it."""


class Service:
    """Answers requests, one at a time, and keeps what it opened for the next."""

    def __init__(self) -> None:
        self._warm = Warm()
        self._methods: dict[str, Callable[..., Json]] = {
            "ping": _ping,
            "models": _models,
            "levels": self._levels,
            "cache_info": _cache_info,
            "cache_clear": self._cache_clear,
        }

    def answer(
        self,
        method: str,
        arguments: Mapping[str, Any],
        volume: Volume | None,
        progress: ProgressCallback,
        cancellation: Cancellation,
    ) -> Answer:
        """
        Raises:
            TuckerSegError: the request cannot be fulfilled.
        """
        try:
            if method == "segment" and volume is not None:
                return self._segment(_request(arguments), volume, progress, cancellation)
            if method in self._methods:
                return Answer(self._methods[method](**arguments))
        except (MemoryError, RuntimeError):
            self.forget()
            raise
        raise InputError(f"The worker has no method {method}.")

    def forget(self) -> None:
        """Give up all that is warm: the memory was short, or what is kept may be what failed."""
        self._warm.clear()

    def _segment(
        self, request: SegmentRequest, volume: Volume, progress: ProgressCallback, cancellation: Cancellation
    ) -> Answer:
        start = time.perf_counter()
        peak.reset()
        progress(Progress("load", 0.0, None))
        if request.model in task_names():
            return _segment_task(request, volume, progress, cancellation)
        model = self._warm.model(request.model)
        structures.check(tuple(model.labels.values()), request.structures)
        ready, warm = self._warm.ready(model, _policy(request), request.device, request.engine, progress, cancellation)
        loading = time.perf_counter() - start
        result = run(ready, volume, progress, cancellation)
        return Answer(
            {
                "seconds": {"load": loading, **result.seconds},
                "cache_hit": warm or result.cache_hit,
                "engine": result.engine,
                "peak_memory": peak.since_reset(),
            },
            structures.only(result.label_map, request.structures),
        )

    def _levels(self, model: str) -> Json:
        from .levels import levels
        from .tasks.costs import task_levels

        if model in task_names():
            return {"levels": [level.as_json() for level in task_levels(model)]}
        return {"levels": [level.as_json() for level in levels(self._warm.model(model))]}

    def _cache_clear(self) -> Json:
        self.forget()
        return {"freed": Cache().clear() + Store(Cache().folder).clear()}


def _segment_task(
    request: SegmentRequest, volume: Volume, progress: ProgressCallback, cancellation: Cancellation
) -> Answer:
    result = segment_task(
        volume,
        request.model,
        _policy(request),
        roi_subset=request.structures,
        device=request.device,
        engine=request.engine,
        progress=progress,
        cancellation=cancellation,
    )
    said = {"seconds": result.seconds, "cache_hit": result.cache_hit, "engine": result.engine}
    return Answer({**said, "peak_memory": peak.since_reset()}, result.label_map)


def _request(arguments: Mapping[str, Any]) -> SegmentRequest:
    return SegmentRequest(**{**arguments, "structures": tuple(arguments.get("structures", ()))})


def _policy(request: SegmentRequest) -> RankPolicy:
    return Relative(request.factor)


def _ping() -> Json:
    openvino = importlib.util.find_spec("openvino") is not None
    return {"python": platform.python_version(), "torch": torch.__version__, "openvino": openvino}


def _models() -> Json:
    from .models import installed

    return {"models": [{"name": name, "path": str(path)} for name, path in installed().items()]}


def _cache_info() -> Json:
    cache = Cache()
    entries = [
        {"path": str(e.path), "model": e.model, "policy": dict(e.policy), "size": e.size, "used": e.used}
        for e in cache.entries()
    ]
    size = sum(e.size for e in cache.entries()) + Store(cache.folder).size
    return {"folder": str(cache.folder), "limit": cache.limit, "size": size, "entries": entries}

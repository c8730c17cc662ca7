"""What a worker can be asked for, by name; knows nothing of processes and pipes."""

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..engines import memory
from ..engines.devices import torch_device
from ..engines.fastest import engines
from ..engines.names import DEVICES
from ..errors import InputError
from ..models.cache import Cache
from ..models.quiet import quiet
from ..models.totalsegmentator.tasks import Network, task_names
from ..progress import Progress
from ..segmentation.one_model import Result, run
from ..segmentation.prepare import ORIGINAL, Ready
from ..segmentation.recipes import _policy
from ..segmentation.request import Request
from ..segmentation.session import Warm
from ..segmentation.tasks.nibabel_images import canonical
from ..segmentation.tasks.task import segment_task
from ..store import Store
from ..volumes import structures
from ..volumes.volume import LabelMap, Volume
from . import weights
from .protocol import Json

with quiet():  # Every segmentation needs them: better before the first request than within it.
    import nnunetv2.preprocessing.resampling.default_resampling
    import nnunetv2.utilities.plans_handling.plans_handler  # noqa: F401


@dataclass(frozen=True)
class Answer:
    """A JSON object, and the label map where there is one."""

    result: Json
    label_map: LabelMap | None = None


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
        progress: Progress,
    ) -> Answer:
        """
        Raises:
            TuckerSegError: the request cannot be fulfilled.
        """
        try:
            if method == "segment" and volume is not None:
                return self._segment(_request(arguments), volume, progress)
            if method in weights.METHODS:
                return Answer(weights.METHODS[method](progress, **arguments))
            if method in self._methods:
                return Answer(self._methods[method](**arguments))
        except (MemoryError, RuntimeError):
            self.forget()
            raise
        raise InputError(f"The worker has no method {method}.")

    def forget(self) -> None:
        """Give up all that is warm: the memory was short, or what is kept may be what failed."""
        self._warm.clear()

    def _segment(self, request: Request, volume: Volume, progress: Progress) -> Answer:
        memory.start_peak()
        progress.stage("load")
        with _warnings() as warnings:
            if request.model in task_names():
                result = self._segment_task(request, volume, progress)
            else:
                result = self._segment_model(request, volume, progress)
        return Answer(_account(result, warnings), result.label_map)

    def _segment_model(self, request: Request, volume: Volume, progress: Progress) -> Result:
        start = time.perf_counter()
        model = self._warm.model(request.model, request.folds)
        structures.check(tuple(model.labels.values()), request.structures)
        policy = _policy(request, model, volume)
        ready, warm = self._warm.ready(model, policy, request.device, request.engine, progress)
        loading = time.perf_counter() - start
        result = run(ready, volume, progress)
        return replace(
            result,
            label_map=structures.only(result.label_map, request.structures),
            seconds={"load": loading, **result.seconds},
            cache_hit=warm or result.cache_hit,
        )

    def _segment_task(self, request: Request, volume: Volume, progress: Progress) -> Result:
        if request.folds:
            raise InputError(f"{request.model} prescribes its folds: leave the choice of folds out.")
        upright = canonical(volume) if request.fit_to_scan else volume

        def prepare(network: Network, loading: Progress) -> Ready:
            model = self._warm.network(network, request.model)
            policy = _policy(request, model, upright)
            ready, warm = self._warm.ready(model, policy, request.device, request.engine, loading)
            return replace(ready, cache_hit=warm or ready.cache_hit)

        return segment_task(
            volume,
            request.model,
            roi_subset=request.structures,
            device=request.device,
            engine=request.engine,
            prepare=prepare,
            progress=progress,
        )

    def _levels(self, model: str) -> Json:
        from ..segmentation.agreement import with_agreement
        from ..segmentation.levels import levels, task_levels

        if model in task_names():
            return {"levels": [level.as_json() for level in task_levels(model)]}
        opened = self._warm.model(model)
        return {"levels": [level.as_json() for level in with_agreement(levels(opened), opened, Cache())]}

    def _cache_clear(self) -> Json:
        self.forget()
        return {"freed": Cache().clear() + Store(Cache().folder).clear()}


def _account(result: Result, warnings: list[str]) -> Json:
    """What a `client.Segmentation` tells besides the label map."""
    compression = result.level.compression
    policy, removed, kept = dict(ORIGINAL.settings), 0.0, 0
    if compression:
        report = compression.report
        policy, removed = dict(compression.policy), 1 - report["parameters"] / report["parameters_before"]
        kept = sum(layer["ranks"] is None for layer in report["layers"])
    return {
        "model": result.level.name,
        "policy": policy,
        "parameters_removed": removed,
        "layers_kept": kept,
        "seconds": dict(result.seconds),
        "cache_hit": result.cache_hit,
        "engine": result.engine,
        "peak_memory": memory.peak_since_start(),
        "warnings": warnings,
    }


class _Collector(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The sentences that this package warns with in the block."""
    collector = _Collector(logging.WARNING)
    logger = logging.getLogger(__package__.partition(".")[0])
    logger.addHandler(collector)
    try:
        yield collector.sentences
    finally:
        logger.removeHandler(collector)


def _request(arguments: Mapping[str, Any]) -> Request:
    lists = {name: tuple(arguments.get(name, ())) for name in ("structures", "folds")}
    return Request(**{**arguments, **lists})


def _ping() -> Json:
    """Versions, and what a request can name as its device and its engine on this computer."""
    devices = _devices()
    runnable = [
        engine.name
        for engine in engines(Store(Cache().folder))
        if any(engine.supports(torch_device(device)) for device in devices)
    ]
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {**versions, "devices": devices, "engines": ["auto", *runnable]}


def _devices() -> list[str]:
    found = []
    for name in DEVICES:
        with suppress(InputError):
            torch_device(name)
            found.append(name)
    return found


def _models() -> Json:
    from ..models.installed import installed

    return {"models": [{"name": name, "path": str(path)} for name, path in installed().items()]}


def _cache_info() -> Json:
    cache = Cache()
    entries = [
        {"path": str(e.path), "model": e.model, "policy": dict(e.policy), "size": e.size, "used": e.used}
        for e in cache.entries()
    ]
    size = cache.size + Store(cache.folder).size
    return {"folder": str(cache.folder), "limit": cache.limit, "size": size, "entries": entries}

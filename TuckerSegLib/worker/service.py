"""What a worker can be asked for, by name; knows nothing of processes and pipes."""

import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from ..engines.devices import torch_device
from ..engines.fastest import engines
from ..engines.names import DEVICES
from ..errors import InputError
from ..models.cache import Cache
from ..models.installed import installed
from ..models.quiet import quiet
from ..progress import Progress
from ..segmentation.request import Request
from ..segmentation.result import Segmentation
from ..segmentation.session import Session
from ..store import Store
from ..volumes.volume import LabelMap, Volume
from . import weights
from .protocol import Json, segmentation_as_json
from .tasks import tasks

with quiet():  # Every segmentation needs them: better before the first request than within it.
    import nnunetv2.preprocessing.resampling.default_resampling
    import nnunetv2.utilities.plans_handling.plans_handler  # noqa: F401


@dataclass(frozen=True)
class Answer:
    """A JSON object, and the label map where there is one."""

    result: Json
    label_map: LabelMap | None = None


class Service:
    """Answers requests, one at a time, in one session."""

    def __init__(self) -> None:
        self._session = Session()
        self._methods: dict[str, Callable[..., Json]] = {
            "ping": _ping,
            "models": _models,
            "tasks": tasks,
            "levels": self._levels,
            "cache_info": _cache_info,
            "cache_clear": self._cache_clear,
        }

    def answer(self, method: str, arguments: Mapping[str, Any], volume: Volume | None, progress: Progress) -> Answer:
        """
        Raises:
            TuckerSegError: the request cannot be fulfilled.
        """
        if method == "segment" and volume is not None:
            return _answer(self._session.segment(volume, Request(**arguments), progress))
        if method == "prepare":
            return Answer(self._prepare(progress, **arguments))
        if method in weights.METHODS:
            return Answer(weights.METHODS[method](progress, **arguments))
        if method in self._methods:
            return Answer(self._methods[method](**arguments))
        raise InputError(f"The worker has no method {method}.")

    def _levels(self, model: str) -> Json:
        return {"levels": [level.as_json() for level in self._session.levels(model).levels]}

    def _prepare(self, progress: Progress, model: str, minutes: float = 0) -> Json:
        return {"networks": [one.as_json() for one in self._session.prepare(model, progress, minutes=minutes)]}

    def _cache_clear(self) -> Json:
        self._session.clear()
        return {"freed": Cache().clear() + Store(Cache().folder).clear()}


def _answer(segmentation: Segmentation) -> Answer:
    """The label map apart from what is told besides."""
    return Answer(segmentation_as_json(segmentation), segmentation.label_map)


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
    return {"models": [{"name": name, "path": str(path)} for name, path in installed().items()]}


def _cache_info() -> Json:
    cache = Cache()
    entries = [
        {"path": str(e.path), "model": e.model, "policy": dict(e.policy), "size": e.size, "used": e.used}
        for e in cache.entries()
    ]
    size = cache.size + Store(cache.folder).size
    return {"folder": str(cache.folder), "limit": cache.limit, "size": size, "entries": entries}

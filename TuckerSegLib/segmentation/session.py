"""Segments whatever is asked for, and keeps models and prepared networks from one request to the next."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from ..engines import memory
from ..engines.fastest import Choice, choice
from ..errors import InputError
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..models.opening import open_model
from ..models.totalsegmentator.tasks import Network, task_names
from ..models.totalsegmentator.weights import open_network, weights_folder
from ..progress import Progress
from ..store import Store
from ..volumes import structures
from ..volumes.volume import Volume
from .agreement import with_agreement
from .levels import ModelLevels, levels, task_levels
from .one_model import Result, run
from .prepare import PreparedModel, prepare
from .recent import Recent
from .recipes import ORIGINAL, recipe_of
from .request import Request
from .result import Segmentation
from .tasks.nibabel_images import canonical
from .tasks.task import segment_task

_SHARE = 256
"""Prepared networks that are not in use may take one part in so many of the memory: hardly more than one has."""

_MODELS = 8
"""Opened models that are kept; they hold no weights."""

_WATCHED = ("plans.json", "dataset.json", "fold_*/*.pth")


class Session:
    """Models that were opened and networks that were prepared, kept for the next request; serves one at a time.

    The only place that asks whether a name is one model or a task of several.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache
        self._models: Recent[TrainedModel] = Recent(_MODELS)
        self._prepared: Recent[PreparedModel] = Recent(
            psutil.virtual_memory().total // _SHARE, lambda prepared: prepared.memory
        )

    @property
    def cache(self) -> Cache:
        """Where compressed models are kept: the one given, or the user's."""
        return self._cache or Cache()

    def segment(self, volume: Volume, request: Request, progress: Progress | None = None) -> Segmentation:
        """Segment `volume` as `request` says; the label map lies on the volume's grid.

        Args:
            volume: voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT), any geometry.
            progress: told of the stages "load", "measure", "calibrate", "compress", "preprocess", "predict",
                "postprocess" and "resample", as far as there are any.

        Raises:
            InputError: the volume or an option cannot be used.
            ModelError: there is no such model, it cannot be used, or its weights or licence number are missing.
            NotEnoughMemory: the run would need more than is free.
            Cancelled: `progress` was cancelled; within one layer while compressing and one patch while predicting.
        """
        progress = progress or Progress()
        memory.start_peak()
        progress.stage("load")
        try:
            with _warnings() as warnings:
                one_or_several = self._task if request.model in task_names() else self._model
                return _segmentation(one_or_several(volume, request, progress), warnings)
        except (MemoryError, RuntimeError):
            self.clear()  # the memory was short, or what is kept may be what failed
            raise

    def levels(self, model: str, measure: bool = False) -> ModelLevels:
        """What each level of a model, or of all networks of a task, costs, and its agreement as far as it is known.

        With `measure` the agreement of every level is measured now, on phantoms, which takes minutes.

        Raises:
            InputError: the agreement of a task is to be measured.
            ModelError: there is no such model, or it cannot be used.
        """
        if model not in task_names():
            opened = self.model(model)
            found = with_agreement(levels(opened), opened, self.cache, measure)
            return ModelLevels(opened.name, opened.patch_size, found)
        if measure:
            raise InputError("Agreement is measured one network at a time: name a trained folder instead of a task.")
        return ModelLevels(model, None, task_levels(model))

    def model(self, which: str, folds: Sequence[int | str] = ()) -> TrainedModel:
        """The model called `which`, or these folds of it, opened anew when its files have changed.

        Raises:
            ModelError: there is no such model, or it cannot be used.
        """
        key = (which, tuple(folds), _stamp(which))
        return self._models.get(key, lambda: open_model(which, list(folds) or None))[0]

    def clear(self) -> None:
        """Give everything up, so that its memory can be used."""
        self._models.clear()
        self._prepared.clear()

    def _model(self, volume: Volume, request: Request, progress: Progress) -> Result:
        start = time.perf_counter()
        model, engines = self.model(request.model, request.folds), self._engines(request)
        structures.check(tuple(model.labels.values()), request.structures)
        prepared = self._prepare(request, model, engines, volume, progress)
        loading = time.perf_counter() - start
        result = run(prepared, volume, progress)
        kept = structures.only(result.label_map, request.structures)
        return replace(result, label_map=kept, seconds={"load": loading, **result.seconds})

    def _task(self, volume: Volume, request: Request, progress: Progress) -> Result:
        if request.folds:
            raise InputError(f"{request.model} prescribes its folds: leave the choice of folds out.")
        engines = self._engines(request)
        upright = canonical(volume) if request.fit_to_scan else volume

        def prepare_network(network: Network, loading: Progress) -> PreparedModel:
            return self._prepare(request, self._network(network, request.model), engines, upright, loading)

        return segment_task(volume, request.model, prepare_network, request.structures, progress=progress)

    def _network(self, network: Network, task: str) -> TrainedModel:
        """One of the networks of TotalSegmentator's `task`, opened anew when its files have changed."""
        folder = str(weights_folder() / network.folder)
        key = (folder, network.folds, _stamp(folder))
        return self._models.get(key, lambda: open_network(network, task))[0]

    def _engines(self, request: Request) -> Choice:
        return choice(request.engine, request.device, Store(self.cache.folder))

    def _prepare(
        self, request: Request, model: TrainedModel, engines: Choice, volume: Volume, progress: Progress
    ) -> PreparedModel:
        """The model at the level that is asked for, prepared now or before."""
        recipe = recipe_of(request, model, volume)
        key = (model.fingerprint, str(recipe.settings), request.device, request.engine)
        prepared, kept = self._prepared.get(key, lambda: prepare(model, recipe, engines, self.cache, progress))
        return replace(prepared, cache_hit=kept or prepared.cache_hit)


def _segmentation(result: Result, warnings: Sequence[str]) -> Segmentation:
    policy, removed, kept = dict(ORIGINAL.settings), 0.0, 0
    if result.model.compression:
        report = result.model.compression.report
        policy, removed = dict(result.model.compression.policy), 1 - report["parameters"] / report["parameters_before"]
        kept = sum(layer["ranks"] is None for layer in report["layers"])
    return Segmentation(
        label_map=result.label_map,
        model=result.model.name,
        policy=policy,
        parameters_removed=removed,
        layers_kept=kept,
        seconds=dict(result.seconds),
        cache_hit=result.cache_hit,
        engine=result.engine,
        peak_memory=memory.peak_since_start(),
        warnings=list(warnings),
    )


def _stamp(which: str) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the model in the folder or file `which` does."""
    path = Path(which).expanduser()
    files = [path] if path.is_file() else sorted(file for pattern in _WATCHED for file in path.glob(pattern))
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


class _Collector(logging.Handler):
    """Keeps the sentences that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The sentences that this package warns with in the block."""
    collector = _Collector()
    logger = logging.getLogger(__package__.partition(".")[0])
    logger.addHandler(collector)
    try:
        yield collector.sentences
    finally:
        logger.removeHandler(collector)

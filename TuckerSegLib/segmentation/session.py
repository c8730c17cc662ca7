"""Segments whatever is asked for, and keeps models and prepared networks from one request to the next."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from ..decomposition.policies import Relative
from ..engines import memory
from ..engines.fastest import Choice, choice
from ..errors import InputError, ModelError
from ..memory_limit import at_most
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..models.opening import open_model
from ..models.totalsegmentator.tasks import Network, task, task_names
from ..models.totalsegmentator.weights import open_network, weights_folder
from ..progress import Progress, seconds_together
from ..store import Store
from ..threads import ALL, cores
from ..volumes import structures
from ..volumes.sources import PHANTOMS
from ..volumes.volume import Volume
from .cascades import both, first_stage, with_labels
from .checking import Originals, check_promise, warn_of, warn_of_modality, warnings_of_block
from .one_model import STEP, Result, run
from .prepare import PreparedModel, prepare
from .recent import Recent
from .recipes import ORIGINAL, recipe_of
from .request import Request
from .result import Segmentation
from .several import requests_of, segment_several
from .slider.agreement import levels_with_agreement
from .slider.calibrations import Calibrations
from .slider.levels import ModelLevels, task_levels
from .slider.preparation import PreparedPositions, prepare_positions
from .tasks.how import How
from .tasks.nibabel_images import canonical
from .tasks.task import checked_task, segment_task

_log = logging.getLogger(__name__)

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
        self._originals = Originals()

    @property
    def cache(self) -> Cache:
        """Where compressed models are kept: the one given, or the user's."""
        return self._cache or Cache()

    def segment(self, volume: Volume, request: Request, progress: Progress | None = None) -> Segmentation:
        """Segment `volume` as `request` says; the label map lies on the volume's grid.

        Args:
            volume: voxels (C, K, J, I) in the units the model was trained on (Hounsfield units for CT), any geometry.
            progress: told of the stages "load", "measure", "calibrate", "compress", "preprocess", "predict",
                "check", "postprocess" and "resample", as far as there are any.

        Raises:
            InputError: the volume or an option cannot be used.
            ModelError: there is no such model, it cannot be used, or its weights or licence number are missing.
            NotEnoughMemory: the run would need more than is free.
            Cancelled: `progress` was cancelled; within one layer while compressing and one patch while predicting.
        """
        progress = progress or Progress()
        if request.also:
            return segment_several(self.segment, self.check, volume, request, progress)
        memory.start_peak()
        progress.stage("load")
        try:
            with cores(request.threads), at_most(request.memory), warnings_of_block() as warnings:
                one_or_several = self._task if request.model in task_names() else self._model
                result = one_or_several(volume, request, progress)
                warn_of(result)
                return _segmentation(result, warnings)
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
            found = levels_with_agreement(opened, self.cache, measure)
            return ModelLevels(opened.name, opened.patch_size, found)
        if measure:
            raise InputError("Agreement is measured one network at a time: name a trained folder instead of a task.")
        return ModelLevels(model, None, task_levels(model))

    def check(self, request: Request) -> str:
        """What tells the models, or all networks of a task, from others; changes when one of their files does.

        Raises:
            InputError: an option is one that no scan could be segmented with.
            ModelError: there is no such model, or it cannot be used.
        """
        Relative(request.factor)
        if request.also:
            return " ".join(map(self.check, requests_of(request)))
        if request.model in task_names():
            networks = checked_task(request.model, request.structures).all_networks()
            return " ".join(self._network(network, request.model).fingerprint for network in networks)
        model = self.model(request.model, request.folds)
        structures.check(tuple(model.labels.values()), request.structures)
        check_promise(request, model)
        return model.identity

    def prepare(
        self, model: str, progress: Progress | None = None, *, images: Sequence[str] = (), minutes: float = 0
    ) -> list[PreparedPositions]:
        """Prepare every position of a model, or of all networks of a task, for this computer.

        Args:
            images: files or folders of the kind that the model is for; phantoms where there are none.
            minutes: for which all positions, of all networks together, are trained to answer as the original does.

        Raises:
            InputError: no phantom is of the model's kind, an image cannot be used, or the model is compressed already.
            ModelError: there is no such model, or it cannot be used.
            Cancelled: `progress` was cancelled; what was done is kept for the next time.
        """
        with cores(ALL):  # as a segmentation takes them, so that it finds what was chosen for so many
            return self._prepared_positions(self._networks(model), progress, images, minutes)

    def _prepared_positions(
        self, networks: Sequence[TrainedModel], progress: Progress | None, images: Sequence[str], minutes: float
    ) -> list[PreparedPositions]:
        engines = choice("auto", "auto", Store(self.cache.folder))
        for one in networks:
            prepare_positions(one, engines, self.cache, images, progress)
            if minutes > 0:
                from .slider.improve import improve  # what trains imports PyTorch's compiler

                seconds = 60 * minutes / len(networks)
                improve(one, engines, self.cache, seconds, images or (PHANTOMS,), progress)
        self._prepared.clear()  # there may be better ones now
        return [prepare_positions(one, engines, self.cache, images, progress) for one in networks]

    def import_calibration(self, model: str, path: Path) -> None:
        """Take what another computer learnt about a model, or about one network of a task.

        Raises:
            ModelError: the file holds nothing about this model.
        """
        errors = []
        for one in self._networks(model):
            try:
                return Calibrations(one, self.cache).take(path)
            except ModelError as error:
                errors.append(error)
        raise errors[0]

    def export_calibration(self, model: str, path: Path) -> None:
        """Write what was learnt about a model of one network to a file that `import_calibration` takes.

        Raises:
            InputError: it is a task of several networks.
            ModelError: the model is not prepared, or has several folds.
            OutputError: the file cannot be written.
        """
        networks = self._networks(model)
        if len(networks) != 1:
            raise InputError(f"{model} has {len(networks)} networks: export those of one trained folder each.")
        Calibrations(networks[0], self.cache).give(path)

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
        self._originals.clear()

    def _model(self, volume: Volume, request: Request, progress: Progress) -> Result:
        start = time.perf_counter()
        model, engines = self.model(request.model, request.folds), self._engines(request)
        if model.remark:
            _log.warning("%s", model.remark)
        structures.check(tuple(model.labels.values()), request.structures)
        warn_of_modality(volume, request.model, model)
        check_promise(request, model)
        if model.previous:
            first = first_stage(model, self.model(model.previous), self._model, volume, request, progress.part(0, 2))
            volume, progress, start = with_labels(volume, first.label_map), progress.part(1, 2), time.perf_counter()
        prepared = self._prepare(request, model, engines, volume, progress)
        loading = time.perf_counter() - start
        prepared = prepared if request.mirroring else prepared.unmirrored()
        result = run(prepared, volume, progress, request.step or STEP)
        kept = structures.only(result.label_map, request.structures)
        kept = structures.without_small_parts(kept) if request.remove_small_blobs else kept
        result = replace(result, label_map=kept, seconds=seconds_together({"load": loading}, result.seconds))
        return both(first, result) if model.previous else result

    def _task(self, volume: Volume, request: Request, progress: Progress) -> Result:
        if request.folds:
            raise InputError(f"{request.model} prescribes its folds: leave the choice of folds out.")
        engines = self._engines(request)
        upright = canonical(volume) if request.fit_to_scan else volume

        def prepare_network(network: Network, loading: Progress) -> PreparedModel:
            return self._prepare(request, self._network(network, request.model), engines, upright, loading)

        how = How(request.remove_small_blobs, request.step)
        return segment_task(volume, request.model, prepare_network, request.structures, how, progress=progress)

    def _networks(self, model: str) -> list[TrainedModel]:
        """A model, or all networks of a task, each once."""
        if model not in task_names():
            return [self.model(model)]
        found = {network.number: network for network in task(model).all_networks()}
        return [self._network(network, model) for network in found.values()]

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
        recipe = recipe_of(request, model, volume, self.cache)
        key = (model.identity, str(recipe.settings), request.device, request.engine, request.threads)
        prepared, kept = self._prepared.get(key, lambda: prepare(model, recipe, engines, self.cache, progress))
        prepared = replace(prepared, cache_hit=kept or prepared.cache_hit)
        return self._originals.checked(prepared, model, request, engines, self.cache)


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
        checks=dict(result.checks),
        warnings=list(warnings),
        choices=dict(result.choices),
    )


def _stamp(which: str) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the model in the folder or file `which` does."""
    path = Path(which).expanduser()
    files = [path] if path.is_file() else sorted(file for pattern in _WATCHED for file in path.glob(pattern))
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)

"""A task of TotalSegmentator's over one volume, from the weights it keeps on this computer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np

from ...decomposition.policies import RankPolicy
from ...engines.devices import torch_device
from ...models.cache import Cache
from ...models.totalsegmentator.tasks import Network, Task, task
from ...models.totalsegmentator.weights import check_installed, open_network
from ...progress import Progress
from ...volumes import structures
from ...volumes.volume import LabelMap, Volume
from ..one_model import Result
from ..prepare import ORIGINAL, Ready, make_ready
from .checks import check_licence, modality_warning
from .costs import Overall, costs_of
from .nibabel_images import image_of
from .prefetcher import Prefetcher
from .steps import Steps

_log = logging.getLogger(__name__)

Prepare = Callable[[Network, Progress], Ready]


@dataclass(frozen=True)
class TaskResult(Result):
    """As every result, for several networks: `level` is the one that ran last, `seconds` are all networks' together.

    Attributes:
        task: the name of the task.
        fingerprints: of each network's weights, by its number.
    """

    task: str = ""
    fingerprints: Mapping[int, str] = field(default_factory=dict)


def segment_task(
    volume: Volume,
    name: str,
    policy: RankPolicy = ORIGINAL,
    *,
    roi_subset: Sequence[str] = (),
    remove_small_blobs: bool = False,
    device: str = "auto",
    engine: str = "torch",
    cache: Cache | None = None,
    prepare: Prepare | None = None,
    progress: Progress | None = None,
) -> TaskResult:
    """Segment `volume` with the task called `name`, every network of it compressed by `policy`.

    The label map, on the volume's grid, is the one that `totalsegmentator(..., ml=True)` gives with the same weights.
    Nothing is downloaded and nothing leaves this computer.

    Args:
        volume: one channel (1, K, J, I): Hounsfield units for CT, any intensities for MR; any geometry.
        policy: how much of each layer is kept.
        roi_subset: these structures alone. The tasks whose names begin with "total" then look only where they are.
        remove_small_blobs: clear connected parts of a structure below 200 mm3.
        prepare: gives each network, ready to run, in a thread of its own; otherwise they are opened and prepared.
        device, engine, cache, progress: see `one_model.segment`. "load" is told while the first network
            is opened and "compress" while a later one is waited for; what is between the networks is "resample".

    Raises:
        InputError: the volume, a structure, the policy or the device cannot be used.
        ModelError: there is no such task, or its weights or licence number are missing, damaged or of another version.
        NotEnoughMemory: the run would need more than is free.
        Cancelled: `progress` was cancelled.
    """
    start = perf_counter()
    wanted = _wanted(name, roi_subset)
    _check(volume, wanted)
    torch_device(device)
    progress = progress or Progress()
    overall = Overall(progress, _costs(wanted, volume))

    def opened(network: Network, loading: Progress) -> Ready:
        model = open_network(network, wanted.name)
        return make_ready(model, policy, device=device, engine=engine, cache=cache, progress=loading)

    def load(network: Network) -> Ready:
        ready = (prepare or opened)(network, overall.loading)
        # TotalSegmentator never averages over mirror images.
        return replace(ready, level=replace(ready.level, mirror_axes=None))

    with Prefetcher(wanted.all_networks(), load, overall) as networks:
        steps = Steps(networks, overall)
        labels = steps.labels(wanted, image_of(volume), remove_small_blobs)
    overall.finish()
    seconds = {**steps.seconds, "resample": perf_counter() - start - sum(steps.seconds.values())}
    label_map = LabelMap(np.ascontiguousarray(labels.T), volume.geometry, wanted.found)
    return TaskResult(
        label_map, replace(steps.last.level, name=name), seconds, steps.cache_hit, steps.last.engine,
        name, steps.fingerprints,
    )  # fmt: skip


def _wanted(name: str, roi_subset: Sequence[str]) -> Task:
    whole = task(name)
    structures.check(tuple(whole.structures.values()), roi_subset)
    return whole.only(roi_subset) if roi_subset else whole


def _check(volume: Volume, wanted: Task) -> None:
    check_licence(wanted)
    check_installed(wanted)
    warning = modality_warning(volume, wanted)
    if warning:
        _log.warning("%s", warning)


def _costs(wanted: Task, volume: Volume) -> list[float]:
    spacing = volume.geometry.spacing
    i, j, k = (n * mm for n, mm in zip(volume.geometry.shape[::-1], spacing, strict=True))
    return costs_of(wanted, (i, j, k), spacing)

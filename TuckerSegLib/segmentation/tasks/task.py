"""A task of TotalSegmentator's over one volume, from the weights it keeps on this computer."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from ...models.totalsegmentator.tasks import Network, Task, task
from ...models.totalsegmentator.weights import check_installed
from ...progress import Progress
from ...volumes import structures
from ...volumes.volume import LabelMap, Volume
from ..one_model import Result
from ..prepare import PreparedModel
from .checks import check_licence, modality_warning
from .costs import Overall, costs_of
from .how import How
from .nibabel_images import image_of
from .prefetcher import Prefetcher
from .steps import Steps

_log = logging.getLogger(__name__)

AS_TOTALSEGMENTATOR = How()

Prepare = Callable[[Network, Progress], PreparedModel]
"""Opens a network and prepares it; called in a thread of its own."""


def segment_task(
    volume: Volume,
    name: str,
    prepare: Prepare,
    wanted: Sequence[str] = (),
    how: How = AS_TOTALSEGMENTATOR,
    *,
    progress: Progress | None = None,
) -> Result:
    """Segment `volume` with the task called `name`, as TotalSegmentator does.

    The label map, on the volume's grid, is the one that `totalsegmentator(..., ml=True)` gives with the same weights.
    Nothing is downloaded and nothing leaves this computer.

    Args:
        volume: one channel (1, K, J, I): Hounsfield units for CT, any intensities for MR; any geometry.
        wanted: these structures alone. The tasks whose names begin with "total" then look only where they are.
        how: whether small parts are cleared, and how far patches lie apart.
        progress: told "load" while the first network is opened, "compress" while a later one is waited for, and the
            stages of each network; what is between the networks is "resample".

    Raises:
        InputError: the volume or a structure cannot be used.
        ModelError: there is no such task, or its weights or licence number are missing, damaged or of another version.
        NotEnoughMemory: the run would need more than is free.
        Cancelled: `progress` was cancelled.
    """
    start = perf_counter()
    chosen = _chosen(name, wanted)
    _check(volume, chosen)
    overall = Overall(progress or Progress(), _costs(chosen, volume))
    with Prefetcher(chosen.all_networks(), _unmirrored(prepare, overall.loading), overall) as networks:
        steps = Steps(networks, overall, how)
        labels = steps.labels(chosen, image_of(volume), how.remove_small_blobs)
    overall.finish()
    seconds = {**steps.seconds, "resample": perf_counter() - start - sum(steps.seconds.values())}
    label_map = LabelMap(np.ascontiguousarray(labels.T), volume.geometry, chosen.found)
    last = steps.last
    model = replace(last.model, name=name)
    return Result(label_map, model, seconds, steps.cache_hit, last.engine, steps.checks, steps.choices)


def checked_task(name: str, wanted: Sequence[str] = ()) -> Task:
    """The task called `name` for the `wanted` structures, if it can run here.

    Raises:
        InputError: it has no such structure.
        ModelError: there is no such task, or its weights or licence number are missing.
    """
    chosen = _chosen(name, wanted)
    check_licence(chosen)
    check_installed(chosen)
    return chosen


def _chosen(name: str, wanted: Sequence[str]) -> Task:
    whole = task(name)
    structures.check(tuple(whole.structures.values()), wanted)
    return whole.only(wanted) if wanted else whole


def _check(volume: Volume, chosen: Task) -> None:
    check_licence(chosen)
    check_installed(chosen)
    warning = modality_warning(volume, chosen)
    if warning:
        _log.warning("%s", warning)


def _unmirrored(prepare: Prepare, loading: Progress) -> Callable[[Network], PreparedModel]:
    """TotalSegmentator never averages over mirror images."""

    def load(network: Network) -> PreparedModel:
        return prepare(network, loading).unmirrored()

    return load


def _costs(chosen: Task, volume: Volume) -> list[float]:
    spacing = volume.geometry.spacing
    i, j, k = (n * mm for n, mm in zip(volume.geometry.shape[::-1], spacing, strict=True))
    return costs_of(chosen, (i, j, k), spacing)

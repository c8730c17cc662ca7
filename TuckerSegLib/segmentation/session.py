"""Models and prepared networks kept from one request to the next, as many as the memory allows."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import psutil

from ..decomposition.policies import RankPolicy
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..models.opening import open_model
from ..models.totalsegmentator.tasks import Network, task_names
from ..models.totalsegmentator.weights import open_network, weights_folder
from ..progress import Progress
from ..volumes import structures
from ..volumes.volume import Volume
from .one_model import Result, segment
from .prepare import ORIGINAL, Ready, make_ready
from .tasks.task import segment_task


def segment_any(
    volume: Volume,
    which: str | Path,
    policy: RankPolicy = ORIGINAL,
    *,
    folds: list[int | str] | None = None,
    roi_subset: Sequence[str] = (),
    device: str = "auto",
    engine: str = "torch",
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Result:
    """Segment `volume` with `which`: a name of TotalSegmentator's tasks, or what `models.open_model` takes.

    `folds` applies to trained folders alone, since a task prescribes its own. `roi_subset` keeps these structures;
    see `segment_task` and `pipeline.segment` for the rest.

    Raises:
        TuckerSegError: as those two.
    """
    if str(which) in task_names():
        return segment_task(
            volume,
            str(which),
            policy,
            roi_subset=roi_subset,
            device=device,
            engine=engine,
            cache=cache,
            progress=progress,
        )
    model = open_model(which, folds)
    structures.check(tuple(model.labels.values()), roi_subset)
    result = segment(volume, model, policy, device=device, engine=engine, cache=cache, progress=progress)
    kept = structures.only(result.label_map, roi_subset)
    return Result(kept, result.level, result.seconds, result.cache_hit, result.engine)


Kept = TypeVar("Kept")

_SHARE = 256
"""One part in so many of this computer's memory may be taken by networks that wait: hardly more than one has."""

_MODELS = 8

_CHECKED = ("plans.json", "dataset.json", "fold_*/*.pth")


class Recent(Generic[Kept]):
    """The last things used, the one used longest ago given up when they outgrow `limit` together, the newest never."""

    def __init__(self, limit: int, size_of: Callable[[Kept], int] = lambda _: 1) -> None:
        self._limit = limit
        self._size_of = size_of
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> tuple[Kept, bool]:
        """What is kept under `key`, or made now; and whether it was there."""
        found = key in self._kept
        if not found:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        self._give_up()
        return self._kept[key], found

    def forget(self, key: Hashable) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def _give_up(self) -> None:
        while len(self._kept) > 1 and sum(map(self._size_of, self._kept.values())) > self._limit:
            self._kept.popitem(last=False)


class Warm:
    """What a worker has opened and prepared."""

    def __init__(self) -> None:
        self._models: Recent[TrainedModel] = Recent(_MODELS)
        self._ready: Recent[Ready] = Recent(psutil.virtual_memory().total // _SHARE, _size)

    def model(self, which: str, folds: Sequence[int | str] = ()) -> TrainedModel:
        """The model called `which`, or these folds of it, opened anew when its files have changed.

        Raises:
            ModelError: there is no such model, or it cannot be used.
        """
        key = (which, tuple(folds), _stamp(which))
        return self._models.get(key, lambda: open_model(which, list(folds) or None))[0]

    def network(self, network: Network, task: str) -> TrainedModel:
        """One of the networks of TotalSegmentator's `task`, opened anew when its files have changed.

        Raises:
            ModelError: as `open_network`.
        """
        folder = str(weights_folder() / network.folder)
        key = (folder, network.folds, _stamp(folder))
        return self._models.get(key, lambda: open_network(network, task))[0]

    def ready(
        self,
        model: TrainedModel,
        policy: RankPolicy,
        device: str,
        engine: str,
        progress: Progress,
    ) -> tuple[Ready, bool]:
        """The level, prepared, and whether it was warm; see `pipeline.make_ready`."""
        key = (model.fingerprint, str(policy.settings), device, engine)
        return self._ready.get(
            key,
            lambda: make_ready(
                model,
                policy,
                device=device,
                engine=engine,
                cache=Cache(),
                progress=progress,
            ),
        )

    def clear(self) -> None:
        """Give everything up, so that its memory can be used."""
        self._models.clear()
        self._ready.clear()


def _size(ready: Ready) -> int:
    """The memory of a prepared network, and of the weights that a compressed level keeps beside an engine's own."""
    return ready.memory


def _stamp(which: str) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the model in the folder or file `which` does."""
    path = Path(which).expanduser()
    files = [path] if path.is_file() else sorted(file for pattern in _CHECKED for file in path.glob(pattern))
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)

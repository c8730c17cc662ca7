"""One call for whatever can segment: a task of TotalSegmentator's, a trained folder, a compressed file, the sample."""

from collections.abc import Sequence
from pathlib import Path

from .. import structures
from ..cache import Cache
from ..models import open_model
from ..models.totalsegmentator import task_names
from ..pipeline import ORIGINAL, Result, segment
from ..progress import Cancellation, ProgressCallback
from ..ranks import RankPolicy
from ..volume import Volume
from .segment import segment_task


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
    progress: ProgressCallback | None = None,
    cancellation: Cancellation | None = None,
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
            cancellation=cancellation,
        )
    model = open_model(which, folds)
    structures.check(tuple(model.labels.values()), roi_subset)
    result = segment(
        volume, model, policy, device=device, engine=engine, cache=cache, progress=progress, cancellation=cancellation
    )
    kept = structures.only(result.label_map, roi_subset)
    return Result(kept, result.level, result.seconds, result.cache_hit, result.engine)

"""How long it takes to make the levels of a model, and to load them from the cache after that."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...decomposition.policies import Relative
from ...decomposition.published import LEVELS
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from .computer import computer


@dataclass(frozen=True)
class CompressionTime:
    """Seconds that it takes to make one level, and to load it from the cache into a network after that."""

    factor: float
    parameters: int
    make: float
    load: float


def compression(model: TrainedModel, factors: Sequence[float] = LEVELS[1:], repeats: int = 5) -> list[CompressionTime]:
    """Make each level once, in an empty cache, and load it `repeats` times; the median of those counts."""
    with tempfile.TemporaryDirectory() as folder:
        return [_compression(model, Relative(factor), Cache(Path(folder)), repeats) for factor in factors]


def as_json(times: Sequence[CompressionTime]) -> dict[str, object]:
    return {"computer": computer(), "levels": [asdict(time) for time in times]}


def _compression(model: TrainedModel, policy: Relative, cache: Cache, repeats: int) -> CompressionTime:
    start = time.perf_counter()
    level, _ = cache.compressed(model, policy)
    made = time.perf_counter() - start
    assert level.compression is not None
    loads = [_load(model, policy, cache) for _ in range(repeats)]
    return CompressionTime(policy.factor, level.compression.report["parameters"], made, statistics.median(loads))


def _load(model: TrainedModel, policy: Relative, cache: Cache) -> float:
    start = time.perf_counter()
    level, hit = cache.compressed(model, policy)
    assert hit
    level.network().load_state_dict(level.load_weights()[0])
    return time.perf_counter() - start

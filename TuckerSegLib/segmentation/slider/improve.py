"""Every position of a prepared model trained further, for as many minutes as there are, and kept where that helped."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...decomposition.frontier import RanksByName, digest_of
from ...engines.base import Source
from ...engines.fastest import Choice
from ...models.cache import Cache
from ...models.nnunet import TrainedModel, digest
from ...progress import Progress
from ...training.distillation import random_patch
from ...training.images import preprocess_all
from ...training.improving.answered import Answer
from ...training.improving.improvement import Improvement
from ...training.improving.level import Standing
from ...volumes.output import whole_file
from ...volumes.phantoms import seeds
from ...volumes.sources import PHANTOMS
from .calibrations import Calibrations
from .positions import chosen_here
from .trained_levels import TrainedLevels

_FOLDER = "improving"
"""Below the cache's folder: what trainings go on from."""

_AT_FIRST = "left_at_first.json"

_HELD_OUT, _APART = 8, 3
"""Patches that nothing is trained on, and how many of the first images they are from, where there are enough."""

_PHANTOMS_A_MINUTE, _FEWEST = 4, 12
"""Phantoms that are made for each minute of training: to make one takes seconds."""


def improve(
    model: TrainedModel,
    engines: Choice,
    cache: Cache,
    seconds: float,
    images: Sequence[str] = (PHANTOMS,),
    progress: Progress | None = None,
) -> None:
    """Train all positions of a prepared `model`, and keep the levels that came closer to the original.

    What has to be made first is counted among the seconds, of which half at least are for training, and the folds share
    them. A later call goes on from where this one, finished or not, left off.

    Args:
        images: "phantoms", files or folders; no labels.
        progress: told of the stages "images" and "train".

    Raises:
        InputError: an image cannot be used.
        Cancelled: `progress` was cancelled; what was gained is kept.
    """
    start, progress = time.perf_counter(), progress or Progress()
    folder = cache.folder / _FOLDER / model.fingerprint
    phantoms = seeds.DISTILLATION[: max(_FEWEST, int(_PHANTOMS_A_MINUTE * seconds / 60))]
    files = preprocess_all(model, images, folder / "images", progress, phantoms)
    levels = _levels(model, engines, cache, progress)
    if not levels:
        return  # where the original is the fastest there is, nothing is lost anywhere
    originals = model.networks()
    seconds = max(seconds / 2, seconds - (time.perf_counter() - start))
    for fold, original in enumerate(originals):
        one = _Fold(model, original, [level.of_fold(fold) for level in levels], cache, engines)
        part = progress.part(fold, len(originals))
        part.stage("train")
        one.train(files, folder, seconds / len(originals), part)


@dataclass(frozen=True)
class _Level:
    """A position's level, one network a fold."""

    ranks: RanksByName
    networks: Sequence[nn.Module]

    def of_fold(self, fold: int) -> "_Level":
        return replace(self, networks=[self.networks[fold]])


def _levels(model: TrainedModel, engines: Choice, cache: Cache, progress: Progress) -> list[_Level]:
    """Each level that loses anything, once.

    Those that positions have now, and those that they would have if nothing had been trained: a slower level than one
    whose training came first may be the better one after its own.
    """
    found = {}
    calibrations = Calibrations(model, cache)
    learnt = calibrations.learnt()
    for known in (learnt, replace(learnt, trained=())):
        for position in chosen_here(model, known, engines, progress):
            if position.ranks and position.error > 0 and digest_of(position.ranks) not in found:
                policy = calibrations.policy(position.factor, position.ranks, learnt)
                made, _ = cache.compressed(model, policy, progress)
                found[digest_of(position.ranks)] = _Level(position.ranks, made.networks())
    return list(found.values())


class _Fold:
    """One network with its levels."""

    def __init__(
        self, model: TrainedModel, original: nn.Module, levels: Sequence[_Level], cache: Cache, engines: Choice
    ) -> None:
        self._model, self._original, self._engines = model, original, engines
        self._levels = {digest_of(level.ranks): level for level in levels}
        self._key, self._kept = digest(original.state_dict()), TrainedLevels(cache)

    def train(self, files: Sequence[Path], folder: Path, seconds: float, progress: Progress) -> None:
        opened = [np.load(file, mmap_mode="r") for file in files]
        apart = min(_APART, max(1, len(opened) // 4))
        random = np.random.default_rng(0)
        held_out = torch.stack([self._patch(opened[:apart], random) for _ in range(_HELD_OUT)])
        improvement = Improvement(
            self._answers(),
            {name: level.networks[0] for name, level in self._levels.items()},
            partial(self._patch, opened[apart:] or opened),
            held_out,
            folder / self._key[:16],
            regions=self._model.label_manager.has_regions,
            device=self._engines.device,
        )
        before = self._at_first(improvement.standings, folder / self._key[:16] / _AT_FIRST)
        try:
            improvement.train(seconds, progress)
        finally:
            self._keep(improvement, before)

    def _answers(self) -> Answer:
        """The original in the fastest engine, be it one that rounds, as its answers cost a part of every step."""
        patch = (self._model.num_input_channels, *self._model.patch_size)
        source = Source(f"{self._key} whole", lambda: self._original, patch)
        return self._engines.suited(exact=False).prepare([source])[0]

    def _at_first(self, standings: Mapping[str, Standing], path: Path) -> dict[str, float]:
        """What had been left of each level's divergence when its training began, be it in a run that was killed."""
        written: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name, standing in standings.items():
            if standing.steps == 0 or name not in written:
                known = self._kept.at(self._key, self._levels[name].ranks)
                written[name] = known.left if known else 1.0
        with whole_file(path) as partial_file:
            partial_file.write_text(json.dumps(written), encoding="utf-8")
        return written

    def _keep(self, improvement: Improvement, before: Mapping[str, float]) -> None:
        for name, standing in improvement.standings.items():
            if standing.best < standing.first:
                left = before[name] * standing.best / standing.first
                self._kept.keep(self._key, self._levels[name].ranks, improvement.level(name), left)

    def _patch(self, opened: Sequence[npt.NDArray[np.float16]], random: np.random.Generator) -> Tensor:
        image = opened[int(random.integers(len(opened)))]
        return torch.from_numpy(random_patch(image, self._model.patch_size, random).astype(np.float32))

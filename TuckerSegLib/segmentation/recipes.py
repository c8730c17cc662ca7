"""How a level is made: from what was asked for to the policy that compresses a model here, for this scan."""

import logging
from dataclasses import dataclass
from typing import Protocol

from ..decomposition.budget import Budget
from ..decomposition.calibration.calibrated import Calibrated
from ..decomposition.calibration.layer import Fit
from ..decomposition.policies import Policy, Relative, Settings
from ..engines.fastest import Choice
from ..engines.layer_times import LayerTimes
from ..engines.tuned_ranks import tuned_once
from ..inference.patches import patches_of
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.volume import Volume
from .request import Request
from .slider.calibrations import Calibrations
from .slider.positions import ranks_at

_log = logging.getLogger(__name__)

_PATCHES, _QUICK = 8, Fit(samples=8192, rounds=2)
"""Somebody waits for it, and it is not for other images: a third of the data, a quarter of the time."""


class Recipe(Protocol):
    """A way to make a level of any model, settled once the model and the engines that will run it are known."""

    @property
    def settings(self) -> Settings:
        """Equal settings give equal levels of equal models on one computer."""
        ...

    def policy(self, model: TrainedModel, engines: Choice, progress: Progress | None = None) -> Policy:
        """How `model` is to be compressed.

        Raises:
            Cancelled: `progress` was cancelled.
        """
        ...


@dataclass(frozen=True)
class Prescribed:
    """A policy that is settled already, whatever the model and the engines."""

    prescribed: Policy

    @property
    def settings(self) -> Settings:
        return self.prescribed.settings

    def policy(self, model: TrainedModel, engines: Choice, progress: Progress | None = None) -> Policy:
        return self.prescribed


ORIGINAL = Prescribed(Relative(1.0))
"""The network as it was trained."""


@dataclass(frozen=True)
class Tuned:
    """A published level with its ranks tuned to this computer, and as published where nothing is gained by others."""

    published: Relative

    @property
    def settings(self) -> Settings:
        return {**self.published.settings, "ranks": "fitted"}

    def policy(self, model: TrainedModel, engines: Choice, progress: Progress | None = None) -> Policy:
        if not engines.has_layer_times or self.published.keeps_all or model.compression is not None:
            return self.published
        times = LayerTimes(engines.store, progress, engines.bench)
        return _told(tuned_once(model, self.published, times, progress), engines)


@dataclass(frozen=True)
class Balanced:
    """As fast as a published level is on this computer, with the ranks that lose least of the network's answer.

    What is lost is known from the model's calibration, which is kept in `cache`; it is gathered at first use, on
    `volume` where there is one. Levels that were trained further are used unless `trained` is False. A network that
    sees slices gets the published level, tuned to this computer.
    """

    published: Relative
    cache: Cache
    volume: Volume | None = None
    trained: bool = True

    @property
    def settings(self) -> Settings:
        return {**self.published.settings, "ranks": "balanced"}

    def policy(self, model: TrainedModel, engines: Choice, progress: Progress | None = None) -> Policy:
        if self.published.keeps_all or model.compression is not None:
            return self.published
        if model.dimensions != 3:
            return Tuned(self.published).policy(model, engines, progress)
        calibrations = Calibrations(model, self.cache, [self.volume] if self.volume else [], self.trained)
        calibrations.gather(progress or Progress())
        learnt = calibrations.learnt()
        ranks = ranks_at(self.published.factor, model, learnt, engines, progress)
        return _told(calibrations.policy(self.published.factor, ranks, learnt), engines)


def _told(policy: Policy, engines: Choice) -> Policy:
    """The policy; a warning where it changes nothing on a GPU, whose convolutions are fast as they are."""
    if engines.device.type == "cuda" and not getattr(policy, "ranks", {}):
        _log.warning("No gain on this GPU: the original network is as fast at this level, so it is what runs.")
    return policy


def recipe_of(request: Request, model: TrainedModel, volume: Volume, cache: Cache) -> Recipe:
    """The recipe that `request` asks for, for this model and this volume.

    Raises:
        InputError: the factor is out of range, or the layers cannot be fitted to the volume.
    """
    published = Relative(request.factor)
    if request.fit_to_scan and not published.keeps_all and model.compression is None:
        return Prescribed(fitted_to_scan(model, volume, published, request.exact_ranks))
    return Prescribed(published) if request.exact_ranks else Balanced(published, cache, volume)


def fitted_to_scan(model: TrainedModel, volume: Volume, published: Relative, exact_ranks: bool = False) -> Calibrated:
    """As many parameters as the published level has, spent where this volume needs them; or its very ranks.

    The same volume gives the same policy, so that the cache knows it again.

    Raises:
        InputError: the volume's channels are not the model's, or the model is a 2D one.
    """
    policy = published if exact_ranks else Budget(factor=published.factor)
    return Calibrated(policy, patches_of(model, [volume], _PATCHES), _QUICK)

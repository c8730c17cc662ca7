"""A model compressed by a policy, loaded, and prepared by an engine: ready to run over any number of volumes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from ..engines.base import Prepared, Source
from ..engines.fastest import Choice
from ..engines.memory import give_back
from ..errors import TuckerSegError
from ..inference.check.checking import Wanted
from ..inference.head import Head, split
from ..models.cache import Cache
from ..models.nnunet import TrainedModel, Weights
from ..progress import Progress
from .recipes import ORIGINAL, Recipe
from .slider.positions import is_little

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """How the answers of a level are checked: against the original network, which `original` prepares for its device.

    It is called for a run of the level when the original is first needed.
    """

    original: Callable[["PreparedModel", Progress], "PreparedModel"]
    wanted: Wanted


@dataclass(frozen=True)
class PreparedModel:
    """A model, compressed or not, loaded and prepared by an engine; runs over one volume at a time.

    `networks` holds one a fold. With `head` they give features, and the scores are what it makes of them. `instead`
    prepares the same for the CPU, for a run that the GPU fails; None where nobody left the choice to us. With `check`
    the answers are checked against the original network's. `choices` are those of this computer's that went into it,
    and more as it runs for the first time. `rounding` names the engines that compute in less than single precision.
    """

    model: TrainedModel
    networks: Sequence[Prepared]
    device: torch.device
    cache_hit: bool
    head: Head | None = None
    instead: Callable[[], "PreparedModel"] | None = None
    check: Check | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    rounding: Sequence[str] = ()

    @property
    def engine(self) -> str:
        """The one that runs the networks."""
        return self.networks[-1].engine

    def unmirrored(self) -> "PreparedModel":
        """The same, which does not average over mirror images."""
        return replace(self, model=replace(self.model, mirror_axes=None))

    @property
    def is_original(self) -> bool:
        """Whether it gives the answers of the network as it was trained, with rounding errors of single precision."""
        return self.model.compression is None and self.engine not in self.rounding

    @property
    def memory(self) -> int:
        """Bytes that the networks take for as long as they are kept."""
        return sum(network.memory for network in self.networks)


def prepare(
    model: TrainedModel,
    recipe: Recipe,
    engines: Choice,
    cache: Cache,
    progress: Progress | None = None,
    with_head: bool = False,
) -> PreparedModel:
    """`model` as `recipe` compresses it, or found in the cache, and prepared by the first of `engines` that can.

    Args:
        progress: told of the stages "calibrate" and "compress", and of "measure" where engines or layers are timed.
        with_head: whether the networks are to give scores whatever that costs, rather than features.

    Raises:
        InputError: the model is compressed already and the recipe asks for something else.
        ModelError: the model cannot be used.
        Cancelled: `progress` was cancelled; within one layer while compressing.
    """
    if engines.instead is None:
        return _prepared(model, recipe, engines, cache, progress, with_head)
    instead = partial(prepare, model, recipe, engines.instead, cache, progress, with_head)
    try:
        return replace(_prepared(model, recipe, engines, cache, progress, with_head), instead=instead)
    except TuckerSegError:
        raise
    except Exception as error:
        _log.warning("The %s device cannot run this network, the CPU takes over: %s", engines.device.type, error)
    return instead()  # only now, as the error holds what is in the GPU's memory


def _prepared(
    model: TrainedModel,
    recipe: Recipe,
    engines: Choice,
    cache: Cache,
    progress: Progress | None,
    with_head: bool,
) -> PreparedModel:
    """What `prepare` gives, on this very device."""
    policy = recipe.policy(model, engines, progress)
    small, cache_hit = cache.compressed(model, policy, progress)
    is_wanted_itself = small.compression is None and policy.settings.get("factor") == 1
    engines = engines.suited(exact=is_wanted_itself or is_little(small))
    weights = _Weights(small)
    # nnU-Net rounds scores while it averages them; features are not rounded alike, so its own labels need the scores.
    is_exact = engines.is_reference and small.compression is None
    head = None if with_head or is_exact else _head(small, weights)
    networks = engines.prepare(_sources(small, weights, head is not None), progress)
    weights.forget()
    give_back()  # what compressing, and engines that were not chosen, took
    rounding = [engine.name for engine in engines.order if engine.is_rounded]
    return PreparedModel(
        small, networks, engines.device, cache_hit, head, choices=engines.store.chosen, rounding=rounding
    )


class _Weights:
    """The folds' weights, read once while engines prepare them and again only if one fails later."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        self._folds: list[Weights] | None = None

    def folds(self) -> list[Weights]:
        if self._folds is None:
            self._folds = self._model.load_weights()
        return self._folds

    def forget(self) -> None:
        self._folds = None


def _sources(model: TrainedModel, weights: _Weights, without_head: bool) -> list[Source]:
    """The model's folds, to be prepared by an engine."""
    patch = (model.num_input_channels, *model.patch_size)
    policy = dict(model.compression.policy) if model.compression else ORIGINAL.settings
    part, network = (" without head", _trunk) if without_head else ("", _network)
    return [
        Source(f"{model.fingerprint} {policy} {fold}{part}", partial(network, model, weights, fold), patch)
        for fold in range(len(weights.folds()))
    ]


def _head(model: TrainedModel, weights: _Weights) -> Head | None:
    """What makes scores of all folds' features; None where there are no fewer features than scores."""
    head = Head.mean([split(_network(model, weights, fold))[1] for fold in range(len(weights.folds()))])
    return head if head.features < head.outputs else None


def _trunk(model: TrainedModel, weights: _Weights, fold: int) -> nn.Module:
    return split(_network(model, weights, fold))[0]


def _network(model: TrainedModel, weights: _Weights, fold: int) -> nn.Module:
    return model.with_weights(weights.folds()[fold])

"""A volume with its geometry in, a label map with names on the same grid out, at any level of compression."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ..decomposition.policies import RankPolicy, Relative
from ..engines.base import Prepared, Source
from ..engines.devices import devices
from ..engines.fastest import prepared
from ..engines.layer_times import LayerTimes
from ..engines.memory import give_back
from ..engines.tuned_ranks import Fitted, fitted
from ..errors import TuckerSegError
from ..inference.head import Head, split
from ..models.cache import Cache
from ..models.nnunet import TrainedModel, Weights
from ..progress import Progress
from ..store import Store

_log = logging.getLogger(__name__)

ORIGINAL = Relative(1.0)


@dataclass(frozen=True)
class Ready:
    """A level of a model, loaded and prepared by an engine; segments any number of volumes, one at a time.

    `networks` holds one a fold. With `head` they give features, and the scores are what it makes of them. `instead`
    prepares the same for the CPU, for a run that the GPU fails; None where nobody left the choice to us.
    """

    level: TrainedModel
    networks: Sequence[Prepared]
    device: torch.device
    cache_hit: bool
    head: Head | None = None
    instead: Callable[[], "Ready"] | None = None

    @property
    def engine(self) -> str:
        """The one that runs the networks."""
        return self.networks[-1].engine

    @property
    def memory(self) -> int:
        """Bytes that the networks take for as long as they are kept."""
        return sum(network.memory for network in self.networks)


def make_ready(
    model: TrainedModel,
    policy: RankPolicy = ORIGINAL,
    *,
    device: str = "auto",
    engine: str = "torch",
    cache: Cache | None = None,
    progress: Progress | None = None,
    whole: bool = False,
) -> Ready:
    """All that `segment` does before it looks at the volume, with its options. `whole` networks have their heads on."""
    prepare = partial(_ready, model, policy, engine, cache or Cache(), progress, whole)
    where, *others = devices(device)
    if not others:
        return prepare(where)
    on_the_cpu = partial(prepare, others[0])
    try:
        return replace(prepare(where), instead=on_the_cpu)
    except TuckerSegError:
        raise
    except Exception as error:
        _log.warning("The %s device cannot run this network, the CPU takes over: %s", where.type, error)
    return on_the_cpu()  # only now, as the error holds what is in the GPU's memory


def _ready(
    model: TrainedModel,
    policy: RankPolicy,
    engine: str,
    cache: Cache,
    progress: Progress | None,
    whole: bool,
    where: torch.device,
) -> Ready:
    """What `make_ready` gives, on this very device."""
    if isinstance(policy, Fitted):
        policy = _fitted(model, policy, where, engine, cache, progress)
    level, cache_hit = cache.level(model, policy, progress)
    weights = _Weights(level)
    # PyTorch's engine gives nnU-Net's own labels where nothing is compressed: its scores are rounded while averaged.
    head = None if whole or (engine == "torch" and level.compression is None) else _head(level, weights)
    sources = _sources(level, weights, head is not None)
    networks = prepared(sources, where, engine, Store(cache.folder), progress)
    weights.forget()
    give_back()  # what compressing, and engines that were not chosen, took
    return Ready(level, networks, where, cache_hit, head)


def _fitted(
    model: TrainedModel,
    policy: Fitted,
    device: torch.device,
    engine: str,
    cache: Cache,
    progress: Progress | None,
) -> RankPolicy:
    """The published level where nothing is gained by another: on GPUs, in other engines, at factor 1."""
    published = policy.published
    if device.type != "cpu" or engine not in ("auto", "fused") or published.factor == 1 or model.compression:
        return published
    return fitted(model, published, LayerTimes(Store(cache.folder), progress), progress)


class _Weights:
    """The folds' weights, read once while engines prepare them and again only if one fails later."""

    def __init__(self, level: TrainedModel) -> None:
        self._level = level
        self._folds: list[Weights] | None = None

    def folds(self) -> list[Weights]:
        if self._folds is None:
            self._folds = self._level.load_weights()
        return self._folds

    def forget(self) -> None:
        self._folds = None


def _sources(level: TrainedModel, weights: _Weights, without_head: bool) -> list[Source]:
    """The level's folds, to be prepared by an engine."""
    patch = (level.num_input_channels, *level.patch_size)
    policy = dict(level.compression.policy) if level.compression else ORIGINAL.settings
    part, network = (" without head", _trunk) if without_head else ("", _network)
    return [
        Source(f"{level.fingerprint} {policy} {fold}{part}", partial(network, level, weights, fold), patch)
        for fold in range(len(weights.folds()))
    ]


def _head(level: TrainedModel, weights: _Weights) -> Head | None:
    """What makes scores of all folds' features; None where there are no fewer features than scores."""
    head = Head.mean([split(_network(level, weights, fold))[1] for fold in range(len(weights.folds()))])
    return head if head.features < head.outputs else None


def _trunk(level: TrainedModel, weights: _Weights, fold: int) -> nn.Module:
    return split(_network(level, weights, fold))[0]


def _network(level: TrainedModel, weights: _Weights, fold: int) -> nn.Module:
    return level.with_weights(weights.folds()[fold])

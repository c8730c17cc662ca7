"""Which engine runs a network: the one asked for, or the fastest on this computer; another where it fails."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..errors import InputError, TuckerSegError, is_lack_of_memory
from ..progress import Progress
from ..store import Store
from ..version import version_of
from .base import Engine, Prepared, Source
from .devices import devices
from .fused.engine import FusedEngine
from .gpu.engine import GpuEngine
from .memory import give_back
from .names import NAMES
from .openvino import OpenVinoEngine, RoundedOpenVinoEngine
from .timing.bench import Bench, bench_on, clock_of
from .timing.processor import CPU, circumstances
from .timing.stopwatch import shortest_seconds
from .torch import TorchEngine

_log = logging.getLogger(__name__)

_FORMAT = 5
"""Changes when our own engines become faster."""

_NEAR = 0.1
"""Engines whose times differ by no more than this share count as equally fast, and the one that is tried first runs."""

_FAR_FASTER = 0.2
"""By what share an engine that rounds has to be faster: so much that no load decides whether a result is rounded."""

_FAR = 0.05
"""What an engine's answers to noise may be wrong by, as a share of their root mean square, or it is not taken."""

_PACKAGES = ("llvmlite", "openvino", "triton")
"""Packages whose versions decide which engine is the fastest."""


def engines(store: Store) -> tuple[Engine, ...]:
    """All there are, the one that is there for every network last."""
    return FusedEngine(), GpuEngine(), RoundedOpenVinoEngine(store), OpenVinoEngine(store), TorchEngine()


@dataclass(frozen=True)
class Choice:
    """The engines that may run networks on a device, in the order in which they are tried.

    Attributes:
        by_speed: whether the fastest of them is to be tried first.
        ordered: whether it is known to be the first of them, so that nothing has to be measured.
        store: where it is kept which is the fastest.
        instead: what takes over where the device itself fails; None where the user named the device.
    """

    device: torch.device
    order: tuple[Engine, ...]
    by_speed: bool
    store: Store
    instead: "Choice | None" = None
    ordered: bool = False

    @property
    def is_reference(self) -> bool:
        """Whether a network that nothing was done to gives nnU-Net's own labels, voxel for voxel."""
        return not self.by_speed and self.order[0].is_reference

    @property
    def has_layer_times(self) -> bool:
        """Whether ranks can be tuned to the engine that is tried first."""
        return self.order[0].has_layer_times

    @property
    def bench(self) -> Bench:
        """Where layers are timed for the engine that is tried first."""
        return bench_on(self.device)

    def led_by(self, engine: str) -> "Choice":
        """The same engines with this one tried first, as it is known to be fast."""
        return replace(self, order=tuple(_beginning_with(engine, self.order)), by_speed=True, ordered=True)

    def suited(self, exact: bool) -> "Choice":
        """The engines that may run a network, left to us, whose own answers are wanted, or only nearly those.

        In the second case OpenVINO need not be tried in single precision where it is faster in less.
        """
        rounded = {engine.name for engine in self.order if engine.is_rounded}
        if not self.by_speed or not rounded:
            return self
        unwanted = rounded if exact else {OpenVinoEngine.name}
        return replace(self, order=tuple(engine for engine in self.order if engine.name not in unwanted))

    def prepare(self, folds: Sequence[Source], progress: Progress | None = None) -> Sequence[Prepared]:
        """A model's folds, each prepared by the first engine that can; a warning tells which could not.

        `progress` is told of the stage "measure" where engines are measured.

        Raises:
            Cancelled: `progress` was cancelled.
        """
        progress = progress or Progress()
        if not self.by_speed or self.ordered or len(self.order) == 1:
            return _all(folds, self.device, self.order, progress)
        order, measured = _fastest_first(folds[0], self.device, self.order, self.store, progress)
        return [*measured, *_all(folds[len(measured) :], self.device, order, progress)]


def choice(engine: str, device: str, store: Store) -> Choice:
    """The engine of that name with those that take over where it fails, or all there are for "auto".

    Raises:
        InputError: there is no such device here, no such engine, or it does not run on the device.
    """
    found: Choice | None = None
    for where in reversed(_devices(engine, device, store)):
        found = Choice(where, tuple(_order(engine, engines(store), where)), engine == "auto", store, found)
    assert found is not None
    return found


def _devices(engine: str, device: str, store: Store) -> list[torch.device]:
    """What `device` may mean; where that is left to us, only what the engine runs on."""
    found = devices(device)
    suited = [one for one in found if any(e.name == engine and e.supports(one) for e in engines(store))]
    return suited if suited and device == "auto" and engine != "auto" else found


class ReplacedOnFailure:
    """A network prepared by the first engine that can, replaced by the next one's when it fails to run."""

    def __init__(self, source: Source, device: torch.device, order: Sequence[Engine]) -> None:
        self._source, self._device = source, device
        self._later = list(order)
        self._network = self._next()

    @property
    def engine(self) -> str:
        return self._network.engine

    @property
    def memory(self) -> int:
        return self._network.memory

    def __call__(self, patches: Tensor) -> Tensor:
        while True:
            try:
                return self._network(patches)
            except Exception as error:
                self._give_up(self._network.engine, error)
                self._network = self._next()

    def _next(self) -> Prepared:
        while True:
            engine = self._later.pop(0)
            try:
                return engine.prepare(self._source, self._device)
            except Exception as error:
                self._give_up(engine.name, error)

    def _give_up(self, engine: str, error: Exception) -> None:
        """Raises where another engine would fail for the same reason, or there is none."""
        if not self._later or isinstance(error, TuckerSegError) or is_lack_of_memory(error):
            raise error
        _log.warning("%s cannot run this network, %s takes over: %s", engine, self._later[0].name, error)


def _order(name: str, available: Sequence[Engine], device: torch.device) -> list[Engine]:
    """The engine called `name`, and those to fall back to."""
    if name not in NAMES:
        raise InputError(f"There is no engine {name}: choose one of {', '.join(NAMES)}.")
    usable = [engine for engine in available if engine.supports(device)]
    if name == "auto":
        return usable
    if name not in [engine.name for engine in usable]:
        raise InputError(f"The engine {name} is not installed or does not run on {device.type}: choose auto or torch.")
    named, *later = usable[[engine.name for engine in usable].index(name) :]
    return [named, *(engine for engine in later if not engine.is_rounded)]


def _all(
    folds: Sequence[Source], device: torch.device, order: Sequence[Engine], progress: Progress
) -> list[ReplacedOnFailure]:
    networks = []
    for fold in folds:
        progress.check()
        networks.append(ReplacedOnFailure(fold, device, order))
    return networks


def _fastest_first(
    source: Source, device: torch.device, order: Sequence[Engine], store: Store, progress: Progress
) -> tuple[Sequence[Engine], list[ReplacedOnFailure]]:
    """The engines by their speed, measured once for each computer and network; and the network, if it was just now."""
    key = f"fastest {_circumstances(order, device)} {source.patch} {source.key}"
    known = (store.choice(key) or {}).get("engine")
    if known in [engine.name for engine in order]:
        return _beginning_with(known, order), []
    progress.stage("measure")
    fastest, seconds = _timed(source, device, order, progress)
    _log.info("%s runs this network fastest on this computer, by seconds a patch: %s", fastest.engine, seconds)
    chosen = store.choose(key, {"engine": fastest.engine, "seconds": seconds})["engine"]
    return _beginning_with(chosen, order), [fastest] if fastest.engine == chosen else []


def _circumstances(order: Sequence[Engine], device: torch.device = CPU) -> str:
    """What a choice once made depends on: the computer, how much of it is ours, and what can be chosen from."""
    names = [engine.name for engine in order]
    versions = {package: version_of(package) for package in _PACKAGES}
    return f"{_FORMAT} {circumstances(device)} {names} {versions}"


def _timed(
    source: Source, device: torch.device, order: Sequence[Engine], progress: Progress
) -> tuple[ReplacedOnFailure, dict[str, float]]:
    """The network as the engine prepares it that runs it fastest, and the seconds of all.

    Two at a time, the faster so far and the next, as what they hold between them may be all that a computer has. The
    next one has to be faster by more than what load may change, so that the same computer chooses the same again.
    """
    patch = torch.randn(1, *source.patch, device=device)
    fastest, expected = None, patch
    rounded = {engine.name for engine in order if engine.is_rounded}
    seconds: dict[str, float] = {}
    for engine in order:
        progress.check()
        network = ReplacedOnFailure(source, device, _beginning_with(engine.name, order))
        answer = network(patch)  # may have another engine take over, be it one that has been timed
        if fastest is None:
            fastest, expected = network, answer.clone()
        elif network.engine not in (fastest.engine, *seconds) and _is_near(answer, expected):
            rivals = (fastest, network)
            runs, clock = [partial(rival, patch) for rival in rivals], clock_of(device)
            taken = shortest_seconds(runs, progress.check, give_up_after=2, clock=clock)
            for rival, best in zip(rivals, taken, strict=True):
                seconds[rival.engine] = min(best, seconds.get(rival.engine, best))
            fastest = network if _is_worth_it(network.engine in rounded, *taken) else fastest
            del rivals
        del network
        give_back()
    assert fastest is not None
    return fastest, seconds


def _is_worth_it(is_rounded: bool, before: float, after: float) -> bool:
    """Whether an engine that takes `after` seconds is to replace one that takes `before`."""
    return after < (1 - (_FAR_FASTER if is_rounded else _NEAR)) * before


def _is_near(answer: Tensor, expected: Tensor) -> bool:
    off, size = (float(x.float().square().mean().sqrt()) for x in (answer - expected, expected))
    return off <= _FAR * size


def _beginning_with(name: str, order: Sequence[Engine]) -> list[Engine]:
    return sorted(order, key=lambda engine: engine.name != name)

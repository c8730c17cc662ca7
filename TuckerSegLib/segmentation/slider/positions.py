"""What runs at each position of the slider on this computer: ranks by measured seconds and measured errors."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from ...decomposition.budget import Budget
from ...decomposition.calibration.record import CalibrationRecord
from ...decomposition.counting import convolutions, input_shapes, multiply_adds
from ...decomposition.frontier import Position, Trained, digest_of, frontier
from ...decomposition.network import reshape
from ...decomposition.published import LEVELS
from ...decomposition.tucker import Ranks
from ...engines.fastest import Choice
from ...engines.timing.part_times import PartTimes
from ...engines.timing.whole_times import network_seconds
from ...inference.head import split
from ...models.nnunet import TrainedModel
from ...models.sample import shipped
from ...progress import Progress

FILE = "positions.json"
"""The name that positions have beside the sample that they were shipped with."""

LITTLE = 1e9
"""Multiply-adds for a patch, some ten milliseconds, below which nobody gains by measurements that take a minute."""

_FORMAT = 3
"""Changes when positions should be chosen anew."""


@dataclass(frozen=True)
class Learnt:
    """What is known of a model when ranks are chosen: its first fold's record, and levels that were trained further."""

    record: CalibrationRecord
    trained: Sequence[Trained]

    @cached_property
    def digest_of_record(self) -> str:
        found = hashlib.sha256()
        for name, errors in sorted(self.record.errors.items()):
            found.update(name.encode() + errors.tobytes())
        return found.hexdigest()

    @property
    def digest(self) -> str:
        """Another one where positions may be chosen otherwise."""
        trained = sorted(json.dumps([sorted(one.ranks.items()), one.left]) for one in self.trained)
        return self.digest_of_record + hashlib.sha256(json.dumps(trained).encode()).hexdigest()[:16]


def ranks_at(
    factor: float,
    model: TrainedModel,
    learnt: Learnt,
    engines: Choice,
    progress: Progress | None = None,
) -> dict[str, Ranks]:
    """The ranks that lose least of the network's answer, as fast as the published level of `factor` is here.

    Where layers are not timed in the engine that runs them, or a patch is a matter of milliseconds anyway, the ranks
    take no more multiply-adds than that level.
    `progress` is told of the stage "measure" the first time.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    if not engines.has_layer_times or is_little(model):
        return _by_work(factor, model, learnt.record)
    known = {position.factor: position for position in positions(model, learnt, engines, progress)}
    if factor in known:
        return dict(known[factor].ranks)
    key = f"{_key(model, learnt, engines)} {factor}"
    kept = engines.store.choice(key)
    if kept is None:
        found = _measured(model, learnt, engines, [factor], progress or Progress())[-1]
        kept = engines.store.choose(key, asdict(found))
    return dict(_position(kept).ranks)


def positions(
    model: TrainedModel,
    learnt: Learnt,
    engines: Choice,
    progress: Progress | None = None,
) -> list[Position]:
    """The original network's position, then all others, the most accurate first.

    Those that were chosen on this kind of processor; else those that a sample was shipped with, which another computer
    chose and nobody has to wait for; else they are chosen now. `chosen_here` does not take another computer's.


    Raises:
        Cancelled: `progress` was cancelled.
    """
    known = known_positions(model, learnt, engines)
    return known if known is not None else chosen_here(model, learnt, engines, progress)


def chosen_here(
    model: TrainedModel, learnt: Learnt, engines: Choice, progress: Progress | None = None
) -> list[Position]:
    """The same by measurements on this very kind of processor, which take minutes and are made once.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    kept = _read(model, learnt, engines)
    if kept is not None:
        return kept
    found = _measured(model, learnt, engines, LEVELS, progress or Progress())
    chosen = engines.store.choose(_key(model, learnt, engines), {"positions": [asdict(position) for position in found]})
    return [_position(one) for one in chosen["positions"]]


def known_positions(model: TrainedModel, learnt: Learnt, engines: Choice) -> list[Position] | None:
    """What `positions` gives without a measurement; None where there would have to be one."""
    kept = _read(model, learnt, engines)
    return kept if kept is not None else _shipped(learnt)


def _shipped(learnt: Learnt) -> list[Position] | None:
    for file in shipped(FILE):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["learnt"] == learnt.digest:
            return [_position(one) for one in content["positions"]]
    return None


def write_positions(positions: Sequence[Position], learnt: Learnt, path: Path) -> None:
    """Write them to be shipped beside a sample."""
    content = {"learnt": learnt.digest, "positions": [asdict(position) for position in positions]}
    path.write_text(json.dumps(content), encoding="utf-8")


def _read(model: TrainedModel, learnt: Learnt, engines: Choice) -> list[Position] | None:
    kept = engines.store.choice(_key(model, learnt, engines))
    return None if kept is None else [_position(one) for one in kept["positions"]]


def _key(model: TrainedModel, learnt: Learnt, engines: Choice) -> str:
    return f"positions {_FORMAT} {engines.bench.circumstances} {model.patch_size} {learnt.digest}"


def _measured(
    model: TrainedModel,
    learnt: Learnt,
    engines: Choice,
    factors: Sequence[float],
    progress: Progress,
) -> list[Position]:
    progress.stage("measure")
    network, patch = model.network_without_data(), (model.num_input_channels, *model.patch_size)
    layers, shapes = convolutions(network), input_shapes(network, patch)
    bench = engines.bench
    seconds = PartTimes(engines.store, progress.check, bench=bench).of_layers(layers, shapes)

    def measure(choices: Sequence[Mapping[str, Ranks]]) -> list[float]:
        return network_seconds([partial(_trunk, model, ranks) for ranks in choices], patch, progress.check, bench=bench)

    return frontier(layers, seconds, learnt.record.errors, factors, measure, trained=learnt.trained)


def _trunk(model: TrainedModel, ranks: Mapping[str, Ranks]) -> nn.Module:
    """The network as it runs over patches: its head waits until they are averaged."""
    return split(reshape(model.network_without_data(), ranks))[0]


def is_little(model: TrainedModel) -> bool:
    """Whether a patch takes the model so few multiply-adds that nothing is to be gained from measuring."""
    work = multiply_adds(model.network_without_data(), (model.num_input_channels, *model.patch_size))
    return sum(work.values()) < LITTLE


def _by_work(factor: float, model: TrainedModel, record: CalibrationRecord) -> dict[str, Ranks]:
    network = model.network_without_data()
    work = multiply_adds(network, (model.num_input_channels, *model.patch_size))
    return Budget(factor, measure="multiply-adds", work=work, errors=record.errors).choose(convolutions(network))


def _position(kept: Mapping[str, Any]) -> Position:
    return Position(**{**kept, "ranks": {name: Ranks(*pair) for name, pair in kept["ranks"].items()}})


def settings_of(factor: float, ranks: Mapping[str, Ranks], learnt: Learnt) -> dict[str, str | int | float]:
    """What a level at these ranks is known by."""
    found: dict[str, str | int | float] = {"policy": "frontier", "factor": factor, "ranks": digest_of(ranks)}
    found["calibration"] = learnt.digest_of_record[:16]
    left = min((one.left for one in learnt.trained if one.ranks == ranks), default=1.0)
    return found if left == 1 else {**found, "trained": f"{left:.6g}"}

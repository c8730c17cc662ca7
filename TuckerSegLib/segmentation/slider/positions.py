"""What runs at each position of the slider on this computer: ranks by measured seconds and measured errors."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from torch import nn

from ...decomposition.budget import Budget
from ...decomposition.calibration.record import CalibrationRecord
from ...decomposition.counting import convolutions, input_shapes, multiply_adds
from ...decomposition.frontier import Position, frontier
from ...decomposition.network import reshape
from ...decomposition.published import LEVELS
from ...decomposition.tucker import Ranks
from ...engines.fastest import Choice
from ...engines.timing.part_times import PartTimes
from ...engines.timing.processor import circumstances
from ...engines.timing.whole_times import network_seconds
from ...inference.head import split
from ...models.nnunet import TrainedModel
from ...progress import Progress

_FORMAT = 1
"""Changes when positions should be chosen anew."""


def ranks_at(
    factor: float, model: TrainedModel, record: CalibrationRecord, engines: Choice, progress: Progress | None = None
) -> dict[str, Ranks]:
    """The ranks that lose least of the network's answer, as fast as the published level of `factor` is here.

    Where layers are not timed in the engine that runs them, the ranks take no more multiply-adds than that level.
    `progress` is told of the stage "measure" the first time.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    if not engines.has_layer_times:
        return _by_work(factor, model, record)
    known = {position.factor: position for position in positions(model, record, engines, progress)}
    if factor in known:
        return dict(known[factor].ranks)
    return dict(_measured(model, record, engines, [factor], progress or Progress())[0].ranks)


def positions(
    model: TrainedModel, record: CalibrationRecord, engines: Choice, progress: Progress | None = None
) -> list[Position]:
    """Every position below the original network, the most accurate first; chosen once on each kind of processor.

    Raises:
        Cancelled: `progress` was cancelled.
    """
    key = f"positions {_FORMAT} {circumstances()} {model.patch_size} {_digest(record)}"
    kept = engines.store.read_json(key)
    if kept is None:
        found = _measured(model, record, engines, LEVELS, progress or Progress())
        kept = {"positions": [asdict(position) for position in found]}
        engines.store.write_json(key, kept)
    return [_position(one) for one in kept["positions"]]


def _measured(
    model: TrainedModel, record: CalibrationRecord, engines: Choice, factors: Sequence[float], progress: Progress
) -> list[Position]:
    progress.stage("measure")
    network, patch = model.network_without_data(), (model.num_input_channels, *model.patch_size)
    layers, shapes = convolutions(network), input_shapes(network, patch)
    seconds = PartTimes(engines.store, progress.check).of_layers(layers, shapes)

    def measure(choices: Sequence[Mapping[str, Ranks]]) -> list[float]:
        return network_seconds([partial(_trunk, model, ranks) for ranks in choices], patch, progress.check)

    return frontier(layers, seconds, record.errors, factors, measure)


def _trunk(model: TrainedModel, ranks: Mapping[str, Ranks]) -> nn.Module:
    """The network as it runs over patches: its head waits until they are averaged."""
    return split(reshape(model.network_without_data(), ranks))[0]


def _by_work(factor: float, model: TrainedModel, record: CalibrationRecord) -> dict[str, Ranks]:
    network = model.network_without_data()
    work = multiply_adds(network, (model.num_input_channels, *model.patch_size))
    return Budget(factor, measure="multiply-adds", work=work, errors=record.errors).choose(convolutions(network))


def _digest(record: CalibrationRecord) -> str:
    found = hashlib.sha256()
    for name, errors in sorted(record.errors.items()):
        found.update(name.encode() + errors.tobytes())
    return found.hexdigest()


def _position(kept: Mapping[str, Any]) -> Position:
    return Position(**{**kept, "ranks": {name: Ranks(*pair) for name, pair in kept["ranks"].items()}})


def settings_of(factor: float, ranks: Mapping[str, Ranks], record: CalibrationRecord) -> dict[str, str | int | float]:
    """What a level at these ranks is known by."""
    chosen = hashlib.sha256(json.dumps(ranks, sort_keys=True).encode()).hexdigest()[:16]
    return {"policy": "frontier", "factor": factor, "ranks": chosen, "calibration": _digest(record)[:16]}

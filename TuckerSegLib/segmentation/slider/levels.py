"""What each position of the slider costs, known from a model's structure alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from ...decomposition.counting import convolutions, count_parameters, multiply_adds
from ...decomposition.frontier import Position
from ...decomposition.network import reshape
from ...decomposition.policies import Relative
from ...decomposition.published import LEVELS
from ...decomposition.tucker import Ranks
from ...models.nnunet import TrainedModel
from ...models.totalsegmentator.tasks import task
from ...models.totalsegmentator.weights import open_network


@dataclass(frozen=True)
class Level:
    """One level of one model; `gflops` are multiply-adds for the model's patch, in thousand millions."""

    factor: float
    parameters: int
    gflops: float
    parameters_removed: float
    """As a share of the original's, 0 to 1; below 0 where the decomposition takes more than it saves."""
    flops_removed: float
    agreement: float | None = None
    """Expected mean Dice with the original network's label maps (`agreement`); None where it was not measured."""
    seconds: float | None = None
    """What the network takes for a patch on this computer; None before the model is prepared."""
    times_faster: float | None = None
    """Than the original network, by the same measurement."""
    published_seconds: float | None = None
    """What it may take for a patch: the published level's seconds, or those of the position above where it is less."""

    def __str__(self) -> str:
        agreement = "agreement unknown" if self.agreement is None else f"agreement {self.agreement:.3f}"
        removed = f"{self.parameters_removed:.0%} of the parameters and {self.flops_removed:.0%} of the FLOPs removed"
        faster = "" if self.times_faster is None else f"{self.times_faster:.1f} times faster, "
        return f"{self.factor:g}: {faster}{agreement}, {removed}"

    def as_json(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class ModelLevels:
    """The levels of the model called `model`, for a patch (K, J, I), which is None for a task of several networks."""

    model: str
    patch: tuple[int, ...] | None
    levels: Sequence[Level]


def levels(
    model: TrainedModel, factors: Sequence[float] = LEVELS, positions: Sequence[Position] | None = None
) -> list[Level]:
    """The levels of an uncompressed model, the most accurate first; of a compressed one, the one it has.

    They are those that run at `positions`, where these are known, the published ones otherwise.
    """
    if model.compression is not None:
        return [_of_compressed(model)]
    if positions:
        original = positions[0]
        whole = _cost(model, original.ranks)
        return [_timed(one, _level(one.factor, _cost(model, one.ranks), whole), original) for one in positions]
    layers = convolutions(model.network_without_data())
    before = _cost(model, {})
    return [_level(factor, _cost(model, Relative(factor).choose(layers)), before) for factor in factors]


def _timed(position: Position, level: Level, original: Position) -> Level:
    faster = original.seconds / position.seconds
    return replace(level, seconds=position.seconds, times_faster=faster, published_seconds=position.limit)


def _cost(model: TrainedModel, ranks: Mapping[str, Ranks]) -> tuple[int, int]:
    network = reshape(model.network_without_data(), ranks)
    patch = (model.num_input_channels, *model.patch_size)
    return count_parameters(network), sum(multiply_adds(network, patch).values())


def _of_compressed(model: TrainedModel) -> Level:
    assert model.compression is not None
    report = model.compression.report
    before = report["parameters_before"], report["multiply_adds_before"]
    factor = float(model.compression.policy.get("factor", 1.0))
    return _level(factor, (report["parameters"], report["multiply_adds"]), before)


def _level(factor: float, cost: tuple[int, int], original: tuple[int, int]) -> Level:
    removed = [1 - now / before for now, before in zip(cost, original, strict=True)]
    return Level(factor, cost[0], cost[1] / 1e9, *removed)


def task_levels(name: str, factors: Sequence[float] = LEVELS) -> list[Level]:
    """The published levels of the task called `name`, summed over every network a run of it uses; see `levels`.

    Raises:
        ModelError: there is no such task, or its weights are not on this computer.
    """
    networks = {network.number: network for network in task(name).all_networks()}
    costs = [levels(open_network(network, name), (1.0, *factors)) for network in networks.values()]
    originals, *others = zip(*costs, strict=True)
    parameters, gflops = _sums(originals)
    return [_of_task(parts, parameters, gflops) for parts in others]


def _of_task(parts: Sequence[Level], parameters_before: int, gflops_before: float) -> Level:
    parameters, gflops = _sums(parts)
    removed = 1 - parameters / parameters_before, 1 - gflops / gflops_before
    return Level(parts[0].factor, parameters, gflops, *removed)


def _sums(parts: Sequence[Level]) -> tuple[int, float]:
    return sum(part.parameters for part in parts), sum(part.gflops for part in parts)

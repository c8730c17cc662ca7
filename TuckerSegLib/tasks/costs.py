"""What each position of the slider costs a whole task: all its networks together."""

from collections.abc import Sequence

from ..levels import Level, levels
from ..models.totalsegmentator import task
from ..models.weights import open_network
from ..ranks import LEVELS


def task_levels(name: str, factors: Sequence[float] = LEVELS) -> list[Level]:
    """The published levels of the task called `name`, summed over every network a run of it uses; see `levels`.

    Raises:
        ModelError: there is no such task, or its weights are not on this computer.
    """
    networks = {network.number: network for network in task(name).all_networks()}
    costs = [levels(open_network(network, name), (1.0, *factors)) for network in networks.values()]
    originals, *others = zip(*costs, strict=True)
    parameters, gflops = _sums(originals)
    return [_level(parts, parameters, gflops) for parts in others]


def _level(parts: Sequence[Level], parameters_before: int, gflops_before: float) -> Level:
    parameters, gflops = _sums(parts)
    removed = 1 - parameters / parameters_before, 1 - gflops / gflops_before
    return Level(parts[0].factor, parameters, gflops, *removed)


def _sums(parts: Sequence[Level]) -> tuple[int, float]:
    return sum(part.parameters for part in parts), sum(part.gflops for part in parts)

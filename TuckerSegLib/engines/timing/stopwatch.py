"""Seconds that tell what something takes, whatever else the computer does at the same time."""

import time
from collections.abc import Callable, Sequence

Run = Callable[[], object]

_FEWEST, _MOST = 3, 12
"""Rounds; those after the fewest are for what has not settled."""

_AGREES = 1.05
"""A run's two shortest times agree within this factor, unless told another: then nothing held up either."""

_OR_SECONDS = 2e-4
"""Or they differ by so little."""

_FAR_SLOWER = 2.0
"""Times the fastest's seconds: what takes longer needs no more precision than that."""


def shortest_seconds(
    runs: Sequence[Run],
    between: Callable[[], None] = lambda: None,
    give_up_after: int = _FEWEST,
    clock: Callable[[], float] | None = None,
    agrees: float = _AGREES,
) -> list[float]:
    """The shortest time that each of `runs`, which have run before, takes of several.

    In turns, so that what slows the computer down for a while hits all of them; several times, so that the shortest is
    one that nothing held up; and again where the two shortest differ. `between` is called before each run and may
    raise, to stop. What is far slower than the fastest is given up after so many rounds. `clock` tells seconds.
    """
    clock = clock or time.perf_counter
    seconds: list[list[float]] = [[] for _ in runs]
    wanted = list(range(len(runs)))
    for turn in range(_MOST):
        for index in wanted:
            between()
            start = clock()
            runs[index]()
            seconds[index].append(clock() - start)
        if turn + 1 >= give_up_after:
            wanted = [index for index in wanted if not _is_far_slower(seconds[index], seconds)]
        if turn + 1 >= _FEWEST and all(_has_settled(seconds[index], agrees) for index in wanted):
            break
    return [min(times) for times in seconds]


def _is_far_slower(times: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether each run was far slower than the fastest of its round, so that one slow run does not decide."""
    rounds = zip(*(other for other in others if len(other) >= len(times)), strict=False)
    return all(own > _FAR_SLOWER * min(together) for own, together in zip(times, rounds, strict=False))


def _has_settled(times: Sequence[float], agrees: float) -> bool:
    first, second = sorted(times)[:2]
    return second <= max(agrees * first, first + _OR_SECONDS)

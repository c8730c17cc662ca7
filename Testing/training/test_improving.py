"""Levels trained in turns from the original's answers: closer than before, never worse, and resumable."""

# mypy: allow-untyped-calls

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pytest import fixture, raises
from support.architectures import small
from support.patches import smooth
from torch import Tensor, nn

from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.errors import Cancelled
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.training.improving.improvement import Improvement
from TuckerSegLib.training.improving.level import Schedule, Standing

SCHEDULE = Schedule(steps=6, warm_up=2, kept=0.5)


def patches(random: np.random.Generator) -> Tensor:
    return smooth(1, int(random.integers(1000)) + 10)[0]


@fixture(scope="module")
def original() -> nn.Module:
    return small()


@fixture(scope="module")
def levels(original: nn.Module) -> dict[str, nn.Module]:
    return {f"{factor}": Relative(factor, minimum=2).compress(original)[0] for factor in (0.7, 0.3)}


def improvement(original: nn.Module, levels: dict[str, nn.Module], folder: Path) -> Improvement:
    return Improvement(original, levels, patches, smooth(2, 1), folder, SCHEDULE)


def one_cycle(found: Improvement) -> None:
    (level,) = found._levels.values()
    found._go_on(level, 1e4)


def until(train: Callable[[], None], enough: Callable[[], bool], most: int = 60) -> None:
    """As often as it takes: seconds say nothing of the steps that a busy computer takes in them."""
    for _ in range(most):
        if enough():
            return
        train()
    assert enough()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_every_level_gets_its_turn_and_comes_closer_to_the_original(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    found = improvement(original, levels, tmp_path)
    before = found.standings
    until(lambda: found.train(1), lambda: all(one.steps >= SCHEDULE.steps for one in found.standings.values()))
    for name, standing in found.standings.items():
        assert standing.best <= before[name].first
        assert not same(found.level(name), levels[name]) or standing.best == standing.first
    assert any(standing.best < standing.first for standing in found.standings.values())


def test_a_level_with_little_to_lose_waits_for_one_that_gains_much() -> None:
    untried, gaining = Standing(0, 0.002, 0.002, 1e-3, 50), Standing(50, 0.9, 0.3, 1e-3, 50, gain=0.003)
    assert untried.promise(2.0) < gaining.promise(2.0)
    assert Standing(0, 0.9, 0.9, 1e-3, 50).promise(2.0) > gaining.promise(2.0)


def test_what_was_learnt_is_there_the_next_time(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    first = improvement(original, levels, tmp_path)
    first.train(0.1)
    again = improvement(original, levels, tmp_path)
    assert again.standings == first.standings
    assert any(standing.steps for standing in again.standings.values())
    assert all(same(first.level(name), again.level(name)) for name in levels)


def test_a_level_of_other_ranks_starts_anew(original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path) -> None:
    improvement(original, levels, tmp_path).train(0.1)
    others = {name: Relative(0.5, minimum=2).compress(original)[0] for name in levels}
    assert all(not standing.steps for standing in improvement(original, others, tmp_path).standings.values())


def test_a_damaged_file_is_not_gone_on_from(original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path) -> None:
    improvement(original, levels, tmp_path).train(0.1)
    for file in tmp_path.iterdir():
        file.write_bytes(b"nothing")
    assert all(not standing.steps for standing in improvement(original, levels, tmp_path).standings.values())


def test_whoever_is_told_of_the_progress_can_stop_it(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    progress = Progress()
    progress.cancel()
    with raises(Cancelled):
        improvement(original, levels, tmp_path).train(100, progress)


def test_what_a_cycle_gained_before_it_was_stopped_is_kept_and_it_is_gone_on_with(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    seen: list[Event] = []

    def one() -> Improvement:
        return Improvement(original, {"0.3": levels["0.3"]}, patches, smooth(2, 1), tmp_path, SCHEDULE)

    def stop_the_second_time(event: Event) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise Cancelled("Enough.")

    stopped = one()
    (level,) = stopped._levels.values()
    level.standing = replace(level.standing, length=2 * SCHEDULE.steps)
    with raises(Cancelled):
        stopped.train(1e4, Progress(stop_the_second_time))
    halted = stopped.standings["0.3"]
    assert halted.done == SCHEDULE.steps and halted.best < halted.first
    again = one()
    assert again.standings == stopped.standings and same(again.level("0.3"), stopped.level("0.3"))
    again.train(0.01)
    assert again.standings["0.3"].steps > SCHEDULE.steps and again.standings["0.3"].best <= halted.best


def test_a_cycle_that_gained_is_followed_by_one_twice_as_long(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    found = Improvement(original, {"0.3": levels["0.3"]}, patches, smooth(2, 1), tmp_path, replace(SCHEDULE, steps=10))
    one_cycle(found)
    standing = found.standings["0.3"]
    assert standing.best < 0.95 * standing.first and (standing.steps, standing.length) == (10, 20)


def test_a_cycle_ends_with_the_time_there_is_at_the_least_rate(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    found = improvement(original, {"0.3": levels["0.3"]}, tmp_path)
    (level,) = found._levels.values()
    level.standing = replace(level.standing, length=100, done=10, seconds=10.0)
    assert level.fit_into(50.0) == SCHEDULE.steps and level.standing.end == 60
    level.standing = replace(level.standing, done=59, seconds=59.0)
    assert level.fit_into(0.5) == 1 and level._rate() < 1e-9
    assert level.standing.length == 100, "the next cycle is as long as this one should have been"


def test_a_rate_at_which_nothing_is_gained_falls_and_the_turn_is_forgotten(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    schedule = replace(SCHEDULE, learning_rate=1e3, least_rate=1.0)
    wild = Improvement(original, {"0.5": levels["0.3"]}, patches, smooth(2, 1), tmp_path, schedule)
    one_cycle(wild)
    standing = wild.standings["0.5"]
    assert standing.rate == 250 and standing.best == standing.first and standing.gain is None
    assert same(wild.level("0.5"), levels["0.3"])
    again = Improvement(
        original, {"0.5": levels["0.3"]}, patches, smooth(2, 1), tmp_path, replace(schedule, learning_rate=1)
    )
    assert again.standings["0.5"].rate == 250
    one_cycle(again)
    assert again.standings["0.5"].rate == 62.5 and same(again.level("0.5"), levels["0.3"])


def test_a_rate_at_which_little_is_gained_falls_and_what_was_gained_is_kept(
    original: nn.Module, levels: dict[str, nn.Module], tmp_path: Path
) -> None:
    def after_a_cycle(least_rate: float) -> Standing:
        schedule = replace(SCHEDULE, learning_rate=1e-6, least_rate=least_rate)
        folder = tmp_path / str(least_rate)
        slow = Improvement(original, {"0.3": levels["0.3"]}, patches, smooth(2, 1), folder, schedule)
        one_cycle(slow)
        return slow.standings["0.3"]

    fallen, at_least = after_a_cycle(2e-7), after_a_cycle(1e-6)
    assert fallen.best < fallen.first and (fallen.rate, fallen.gain) == (2.5e-7, None)
    assert at_least.best == fallen.best and at_least.rate == 1e-6
    assert at_least.gain, "at the least rate a small gain is a gain"

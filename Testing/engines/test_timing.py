"""Times do not depend on what else the computer does, and hold for a processor, whatever network it is in."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from TuckerSegLib.engines import fastest
from TuckerSegLib.engines.layer_times import LayerTimes
from TuckerSegLib.engines.timing import processor, stopwatch
from TuckerSegLib.store import Store


class Computer:
    """A clock that runs on by what each piece of work takes, and by more while the computer is busy."""

    def __init__(self, busy: Any = lambda turn: 1.0) -> None:
        self.now, self.turn, self._busy = 0.0, 0, busy

    def work(self, seconds: float) -> Any:
        def run() -> None:
            self.now += seconds * self._busy(self.turn)
            self.turn += 1

        return run

    def perf_counter(self) -> float:
        return self.now


def shortest(computer: Computer, seconds: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr("time.perf_counter", computer.perf_counter)
    return stopwatch.shortest_seconds([computer.work(each) for each in seconds])


def test_an_idle_computer_is_measured_in_three_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Computer()
    assert shortest(computer, [0.02, 0.03], monkeypatch) == pytest.approx([0.02, 0.03])
    assert computer.turn == 6


def test_a_computer_that_is_busy_for_a_while_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Computer(lambda turn: 3.0 if turn < 7 else 1.0)
    assert shortest(computer, [0.02, 0.021, 0.019], monkeypatch) == pytest.approx([0.02, 0.021, 0.019])


@pytest.mark.parametrize("seed", range(20))
def test_a_computer_that_is_busy_at_random_tells_the_same_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(seed)
    computer = Computer(lambda turn: 1 + drawn.choice((0.0, 0.3, 1.0, 3.0)) * drawn.random())
    first, second, third = shortest(computer, [0.020, 0.024, 0.030], monkeypatch)
    assert first < second < third


def test_what_is_far_slower_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[float] = []
    computer = Computer(lambda turn: 1 + 10 / (1 + turn))  # never settles

    def counted(seconds: float) -> Any:
        def run() -> None:
            ran.append(seconds)
            computer.work(seconds)()

        return run

    monkeypatch.setattr("time.perf_counter", computer.perf_counter)
    stopwatch.shortest_seconds([counted(0.01), counted(1.0)], give_up_after=2)
    assert ran.count(1.0) == 2 and ran.count(0.01) > 3


def test_measuring_can_be_stopped_before_each_run() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopwatch.shortest_seconds([lambda: pytest.fail("ran")], stop)


def test_times_and_choices_do_not_depend_on_the_computers_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a laptop changes with the network that it is in."""
    store = Store(tmp_path)

    def keys() -> tuple[str, ...]:
        return LayerTimes(store)._key, fastest._circumstances(fastest.engines(store))

    monkeypatch.setattr("platform.node", lambda: "laptop.clinic.example")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop.clinic.example")
    before = keys()
    monkeypatch.setattr("platform.node", lambda: "laptop.home")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop.home")
    assert keys() == before


@pytest.mark.parametrize("change", ["processor", "instructions", "threads"])
def test_times_and_choices_are_for_one_processor(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def keys() -> tuple[str, ...]:
        return LayerTimes(store)._key, fastest._circumstances(fastest.engines(store))

    before = keys()
    if change == "processor":
        monkeypatch.setattr(processor, "name", lambda: "another")
    elif change == "instructions":
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert all(one != other for one, other in zip(before, keys(), strict=True))


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_processor_has_a_name_on_every_system(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    processor.name.cache_clear()
    try:
        assert processor.name()
    finally:
        processor.name.cache_clear()


def test_two_processes_that_measure_at_once_keep_what_the_first_wrote_down(tmp_path: Path) -> None:
    one, other = LayerTimes(Store(tmp_path)), LayerTimes(Store(tmp_path))
    one._known, other._known = {"layer": 1.0}, {"layer": 2.0, "another": 3.0}
    one.keep()
    other.keep()
    assert LayerTimes(Store(tmp_path))._known == {"layer": 1.0, "another": 3.0}

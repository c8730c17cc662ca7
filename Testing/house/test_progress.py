"""One object says how far a run is, never goes back, and stops everybody who works when anybody asked for it."""

import threading
from itertools import pairwise

import pytest

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.progress import Event, Progress


def test_preparing_leaves_the_fraction_where_it_is_and_counts_its_steps() -> None:
    told: list[Event] = []
    progress = Progress(told.append)
    progress.stage("measure")
    progress.step(0, 2)
    progress.step(1, 2)
    assert [(event.number, event.count) for event in told] == [(0, 0), (1, 2), (2, 2)]
    assert {event.fraction for event in told} == {0.0}


def test_a_run_that_is_all_its_own_work_ends_at_one() -> None:
    told: list[Event] = []
    progress = Progress(told.append)
    progress.stage("predict", later=1.0)
    for done in range(4):
        progress.step(done, 4)
    progress.finish()
    assert [event.seconds_left for event in told[:2]] == [None, None], "nothing is known before the first step"
    assert all(event.seconds_left and event.seconds_left >= 1.0 for event in told[2:-1])
    assert told[-1] == Event("predict", 1.0, 0.0)
    assert list(progress.seconds) == ["predict"]


def test_the_stage_a_run_is_in_is_entered_once() -> None:
    told: list[Event] = []
    progress = Progress(told.append)
    for _ in range(3):
        progress.stage("measure")
    assert len(told) == 1


def test_parts_make_up_the_whole_and_never_go_back() -> None:
    told: list[Event] = []
    progress = Progress(told.append)
    for index in range(3):
        part = progress.part(index, 3)
        part.stage("load")
        part.stage("predict")
        for done in range(5):
            part.step(done, 5)
        part.finish()
    assert all(before.fraction <= after.fraction for before, after in pairwise(told))
    ends = [event.fraction for event in told if event.stage == "load"]
    assert ends == pytest.approx([0, 1 / 3, 2 / 3]) and told[-1].fraction == 1.0


@pytest.mark.parametrize("ask", ["whole", "part"])
def test_whoever_cancels_stops_the_whole_before_its_next_step(ask: str) -> None:
    whole = Progress()
    part = whole.part(0, 2)
    asking = threading.Thread(target=(whole if ask == "whole" else part).cancel)
    asking.start()
    asking.join()
    for stopped in (whole, part, whole.part(1, 2)):
        with pytest.raises(Cancelled):
            stopped.check()
        with pytest.raises(Cancelled):
            stopped.stage("predict")
        with pytest.raises(Cancelled):
            stopped.step(0, 1)

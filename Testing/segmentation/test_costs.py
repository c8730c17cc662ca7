"""How far a run of several networks is, told as one."""

from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.segmentation.tasks.costs import Overall


def test_preparing_a_network_is_told_while_the_run_waits_for_it_and_never_takes_it_back() -> None:
    told: list[Event] = []
    overall = Overall(Progress(told.append), [1.0, 3.0])

    first = overall.next()
    overall.loading.tell(Event("measure", 0.0, None, 1, 20))
    first.tell(Event("predict", 0.5, None))
    overall.loading.tell(Event("measure", 0.0, None, 2, 20))  # the next one's, beside this one's run
    second = overall.next()
    overall.loading.tell(Event("measure", 0.0, None, 3, 20))
    second.tell(Event("predict", 0.5, None))

    assert [one.stage for one in told] == ["load", "measure", "predict", "compress", "measure", "predict"]
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions) and fractions[-1] == 0.25 + 0.5 * 0.75

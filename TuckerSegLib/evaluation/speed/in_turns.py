"""The jobs of a benchmark, one after the other, each under words that say what is being measured."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

from ...progress import Progress

Job = tuple[str, Callable[[], object]]
"""What is being done, and how."""


def in_turns(jobs: Sequence[Job], progress: Progress | None = None) -> None:
    """
    Raises:
        Cancelled: `progress` was cancelled, before the next job.
    """
    progress = progress or Progress()
    for number, (words, work) in enumerate(jobs):
        progress.part(number, len(jobs)).stage(words)
        work()


def rounds(jobs: Sequence[Job], count: int, until: float = math.inf) -> Iterator[Job]:
    """The jobs again and again; after the first round nothing begins later than `until`, of `time.monotonic`."""

    def in_time(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: work() if time.monotonic() < until else None

    for number in range(count):
        for words, work in jobs:
            yield f"{words}, {number + 1} of {count}", in_time(work) if number else work

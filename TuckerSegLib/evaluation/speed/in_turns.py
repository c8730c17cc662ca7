"""The jobs of a benchmark, one after the other, each under words that say what is being measured."""

from collections.abc import Callable, Sequence

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

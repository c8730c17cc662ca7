"""What a cohort will take: worked out from the scans of it that are done, and how many workers fit into a computer."""

from collections.abc import Sequence
from dataclasses import dataclass

from .manifest import Json

_SHARE_OF_MEMORY = 0.85
"""The rest is the system's, and for scans that need more than those seen."""


@dataclass(frozen=True)
class Expected:
    """What is to be done: bytes to read (`size`), `seconds`, and bytes of `memory` at once and on the `disk`."""

    scans: int
    size: int
    workers: int
    threads: int
    seconds: float
    memory: int
    disk: int


def workers_that_fit(records: Sequence[Json], cores: int, memory: int, most: int | None = None) -> int:
    """As many as the largest scan seen fits into the memory, if no core is idle then; `most` where the user said so."""
    if most:
        return most
    largest = max((record["peak_memory"] for record in records), default=1)
    fit = max(1, min(cores, int(memory * _SHARE_OF_MEMORY) // max(largest, 1)))
    return max(range(1, fit + 1), key=lambda workers: (workers * (cores // workers), workers))


def expected(records: Sequence[Json], sizes: Sequence[int], workers: int, threads: int) -> Expected:
    """What scans of these sizes will take, if they are to those that are done as their bytes are to theirs."""
    bytes_done = max(sum(record["input"]["bytes"] for record in records), 1)
    workers, share = max(1, min(workers, len(sizes))), sum(sizes) / bytes_done
    alike = [record for record in records if record["threads"] == threads] or records
    seconds_a_byte = sum(map(_seconds, alike)) / max(sum(one["input"]["bytes"] for one in alike), 1)
    return Expected(
        scans=len(sizes),
        size=sum(sizes),
        workers=workers,
        threads=threads,
        seconds=seconds_a_byte * sum(sizes) / workers,
        memory=workers * max(record["peak_memory"] for record in records),
        disk=int(sum(record["result"]["bytes"] for record in records) * share),
    )


def _seconds(record: Json) -> float:
    """Of one scan, once its network is loaded."""
    return float(record["seconds"]["all"] - record["seconds"]["stages"].get("load", 0.0))


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} days"

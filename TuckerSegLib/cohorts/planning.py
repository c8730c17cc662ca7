"""The arithmetic of a cohort that is not there yet, from one that was measured: what it takes, and what bounds it.

Everything follows from medians over the measured scans. Work is divided evenly, as scans are many and independent; the
network and the disk that all nodes share are asked for what the workers read and write together, and are the bound
where they give less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ..errors import InputError
from .expected import duration, workers_that_fit
from .manifest import Json

PARTS = ("fetch", "hash", "read", "segment", "measure", "write")
"""Of a scan's time, as the manifest has them."""


@dataclass(frozen=True)
class Computer:
    """One node: its processors, bytes of memory, and the bytes a second that it gets from where the scans are."""

    cores: int
    memory: int
    disk: int


@dataclass(frozen=True)
class Measured:
    """Medians of scans that were segmented: seconds of each part by `threads` cores, bytes read, written and held."""

    scans: int
    voxels: int
    threads: int
    seconds: dict[str, float]
    read: int
    written: int
    memory: int

    @property
    def all(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Plan:
    """So many scans like those `measured` on so many nodes, `workers` on each with `threads` cores."""

    scans: int
    nodes: int
    workers: int
    threads: int
    measured: Measured
    computer: Computer

    @property
    def by_computing(self) -> float:
        """Seconds, if nothing but processors bounds it."""
        return self.scans * self.measured.all * self.measured.threads / (self.nodes * self.workers * self.threads)

    @property
    def by_reading(self) -> float:
        """Seconds that reading and writing take by themselves, of one disk that all nodes share."""
        return self.scans * (self.measured.read + self.measured.written) / self.computer.disk

    @property
    def seconds(self) -> float:
        return max(self.by_computing, self.by_reading)

    @property
    def bound(self) -> str:
        """What it waits for."""
        if self.by_reading > self.by_computing:
            return "the disk"
        return "memory" if self.workers * self.threads < self.computer.cores else "processors"

    def rows(self) -> list[tuple[str, str, str]]:
        """What, how much, and how it comes about."""
        one, everywhere = self.measured, self.nodes * self.workers
        parts = " + ".join(f"{part} {one.seconds[part]:.1f}" for part in PARTS if one.seconds[part])
        pace = (one.read + one.written) * self.scans / self.seconds
        core_seconds, held = one.all * one.threads, one.memory / 1e9
        together = f"{self.scans:,} x {core_seconds:.1f} core-seconds / {everywhere * self.threads} cores"
        return [
            ("One scan", f"{one.all:.1f} s", f"{parts} s, by {one.threads} cores, {one.voxels:,} voxels"),
            ("Workers on a node", f"{self.workers}", self._fit()),
            ("Computing", duration(self.by_computing), together),
            ("Reading and writing", duration(self.by_reading), self._transfer()),
            ("The cohort", duration(self.seconds), f"bound by {self.bound}"),
            ("Asked of the disk", f"{pace / 1e6:.1f} MB/s", "all nodes together, over the whole time"),
            ("Memory of a node", f"{self.workers * held:.1f} GB", f"{self.workers} x {held:.1f} GB"),
            ("Scans", f"{self.scans * one.read / 1e12:.2f} TB", f"{self.scans:,} x {one.read / 1e6:.1f} MB"),
            ("Results", f"{self.scans * one.written / 1e9:.1f} GB", f"{self.scans:,} x {one.written / 1e6:.2f} MB"),
        ]

    def _fit(self) -> str:
        by_memory = f"{self.computer.memory / 1e9:.0f} GB / {self.measured.memory / 1e9:.1f} GB"
        return f"of {self.threads} cores each; {by_memory} would fit"

    def _transfer(self) -> str:
        each = (self.measured.read + self.measured.written) / 1e6
        return f"{self.scans:,} x {each:.1f} MB / {self.computer.disk / 1e6:.0f} MB/s"


def measured_in(records: Sequence[Json]) -> Measured:
    """The medians of what was segmented.

    Raises:
        InputError: nothing was.
    """
    if not records:
        raise InputError("No scan is done yet: a plan needs a few that were measured.")
    threads = max(record["threads"] for record in records)
    alike = [record for record in records if record["threads"] == threads]
    settled = alike[1:] or alike  # the first prepares the model for all
    return Measured(
        scans=len(settled),
        voxels=int(median(_voxels(record) for record in settled)),
        threads=threads,
        seconds={part: median(record["seconds"].get(part, 0.0) for record in settled) for part in PARTS},
        read=int(median(record["input"]["bytes"] for record in settled)),
        written=int(median(record["result"]["bytes"] for record in settled)),
        memory=max(record["peak_memory"] for record in settled),
    )


def _voxels(record: Json) -> int:
    k, j, i = record["grid"]["shape"]
    return int(k * j * i)


def plan(records: Sequence[Json], scans: int, nodes: int, computer: Computer) -> Plan:
    """What `scans` scans like those of the records would take on `nodes` computers.

    Raises:
        InputError: nothing was measured, or a scan does not fit into the memory.
    """
    measured = measured_in(records)
    workers = workers_that_fit(records, computer.cores, computer.memory)
    if computer.memory < measured.memory:
        raise InputError(
            f"A scan takes {measured.memory / 1e9:.1f} GB, and a node has {computer.memory / 1e9:.1f} GB: give it more."
        )
    return Plan(scans, nodes, workers, max(1, computer.cores // workers), measured, computer)

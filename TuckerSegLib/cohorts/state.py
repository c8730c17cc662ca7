"""How far a cohort is, from its manifest alone."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .cohort import Cohort
from .expected import duration
from .manifest import DONE, FAILED, SET_ASIDE, Known, read_manifest


@dataclass(frozen=True)
class State:
    """Scans by how they ended, those that workers are at, and why some could not be segmented.

    Attributes:
        problems: id and sentence of each scan that failed or was set aside.
        seconds: the median of a scan; None before one is done.
        peak_memory: the most bytes that a scan took.
        versions: how many scans each version of TuckerSeg segmented, where there are several.
        networks: how many different networks segmented them, as computers that differ choose different ranks.
    """

    counts: Mapping[str, int]
    running: Sequence[str]
    problems: Sequence[tuple[str, str]]
    seconds: float | None
    peak_memory: int
    versions: Mapping[str, int]
    networks: int

    def as_json(self) -> dict[str, Any]:
        return {
            **self.counts,
            "running": list(self.running),
            "problems": [{"id": scan, "sentence": sentence} for scan, sentence in self.problems],
            "seconds_a_scan": self.seconds,
            "peak_memory_bytes": self.peak_memory,
            "versions": dict(self.versions),
            "networks": self.networks,
        }

    def __str__(self) -> str:
        parts = [f"{count:,} {state}" for state, count in self.counts.items() if count or state == DONE]
        running = f", {len(self.running):,} under way" if self.running else ""
        took = (
            ""
            if self.seconds is None
            else f"; {duration(self.seconds)} a scan, {self.peak_memory / 1e9:.1f} GB at most"
        )
        lines = [f"{', '.join(parts)}{running}{took}."]
        if len(self.versions) > 1:
            lines.append(f"Several versions of TuckerSeg were used: {', '.join(self.versions)}.")
        if self.networks > 1:
            lines.append(
                f"{self.networks} different networks were used, as computers differ in what is fast: --exact-ranks, "
                "or a .tuckerseg file as the model, is the same everywhere."
            )
        return "\n".join(lines)


def state_of(cohort: Cohort) -> State:
    """
    Raises:
        InputError: the manifest cannot be read.
    """
    known = read_manifest(cohort.places.manifest)
    done = known.of_state(DONE)
    return State(
        counts={state: len(known.of_state(state)) for state in (DONE, FAILED, SET_ASIDE)},
        running=_running(cohort, known),
        problems=[(one["id"], one["sentence"]) for kind in (FAILED, SET_ASIDE) for one in known.of_state(kind)],
        seconds=median(one["seconds"]["all"] for one in done) if done else None,
        peak_memory=max((one["peak_memory"] for one in done), default=0),
        versions=dict(Counter(one["versions"]["tuckerseg"] for one in done)),
        networks=len({json.dumps(one["policy"], sort_keys=True) for one in done}),
    )


def _running(cohort: Cohort, known: Known) -> list[str]:
    """The scans that workers have marked."""
    folder, found = cohort.places.running, []
    for mark in folder.iterdir() if folder.is_dir() else ():
        try:
            found.append(json.loads(mark.read_text(encoding="utf-8"))["id"])
        except (OSError, ValueError):  # it has just ended
            continue
    return sorted(set(found) - {name for name in known.records if known.records[name]["event"] == SET_ASIDE})

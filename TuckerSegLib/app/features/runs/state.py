"""What the page shows of a run."""

from dataclasses import dataclass


@dataclass
class RunState:
    """`meaning` is "good", "poor", "failed" or "plain"; `percent` is None while nobody knows how far the run is."""

    busy: bool = False
    percent: float | None = None
    status: str = ""
    meaning: str = "plain"
    obstacle: str = ""
    details: str = ""

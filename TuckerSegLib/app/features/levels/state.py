"""What the page shows of the model and the slider."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class LevelState:
    """`text` is the gain of the chosen position and `basis` what that stands on; `points` are the plot's, 0 to 100."""

    models: list[dict[str, Any]] = field(default_factory=list)
    model: str = "sample"
    hint: str = ""
    position: int = 0
    factor: str = "1"
    fixed: bool = False
    fit: bool = False
    promised: bool = False
    at_least: float = 0.95
    text: str = ""
    meaning: str = "plain"
    basis: str = ""
    minutes: float = 10.0
    points: list[dict[str, Any]] = field(default_factory=list)
    slowest: str = ""
    unmeasured: int = 0

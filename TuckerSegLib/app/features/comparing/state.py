"""What the page shows of two compared positions."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ComparingState:
    """Each row has `id`, `title`, `dice`, `left` and `right` in millilitres, the worst first."""

    left: int = 0
    right: int = 5
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: str = ""
    differences: bool = True
    titles: list[str] = field(default_factory=lambda: ["", ""])

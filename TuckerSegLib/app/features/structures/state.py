"""What the page shows of the structures that were found."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class StructureState:
    """Each row has `id`, `title`, `colour`, `ml`, `mean` and `shown`; `anything` is whether any is shown."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    search: str = ""
    anything: bool = True

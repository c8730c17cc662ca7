"""What a check found out about the answer for a scan; free of PyTorch."""

from collections.abc import Iterable
from dataclasses import dataclass

POOR = 0.9
"""An agreement below which a result is not handed over without a warning."""


@dataclass(frozen=True)
class Checked:
    """How good the answer for a scan is.

    Attributes:
        agreement: the mean Dice with the original network's label map that is to be expected, over the structures
            that have at least a millilitre in one of the two.
        low, high: between which it lies nine times in ten.
        windows: on how many patches the original ran,
        count: of how many.
        seconds: what the check took.
    """

    agreement: float
    low: float
    high: float
    windows: int
    count: int
    seconds: float

    @property
    def poor(self) -> bool:
        """Whether it is not to be used without a look at it."""
        return self.agreement < POOR

    @property
    def basis(self) -> str:
        """What it is known from, in words."""
        if self.windows == self.count:
            return "it is the original network's own answer"
        patches = f"of this scan's {self.count} patches"
        if not self.windows:
            return f"expected from phantoms; the original network ran on none {patches}"
        return f"expected from the original network's answers on {self.windows} {patches}"

    def __str__(self) -> str:
        """`agreement 0.93 (0.90 to 0.95)`."""
        return f"agreement {self.agreement:.2f} ({self.low:.2f} to {self.high:.2f})"


def worst(found: Iterable[Checked]) -> Checked | None:
    """What is said of several answers that make one result: the lowest agreement, and what all checks took together."""
    every = list(found)
    if not every:
        return None
    least = min(every, key=lambda one: one.agreement)
    windows, count, seconds = (sum(getattr(one, name) for one in every) for name in ("windows", "count", "seconds"))
    return Checked(least.agreement, least.low, least.high, windows, count, seconds)

"""How things look."""

from dataclasses import dataclass


@dataclass
class DisplayState:
    """`low` and `high` are the window's ends, `opacity` is of the segments, 0 to 1."""

    theme: str = "dark"
    layout: str = "four"
    preset: str = "Soft tissue"
    low: float = -160.0
    high: float = 240.0
    opacity: float = 0.5
    outlined: bool = True
    volume_in_3d: bool = False
    panel: bool = True

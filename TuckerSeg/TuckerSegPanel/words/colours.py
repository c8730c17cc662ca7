"""The colours that say good, poor and failed, readable in the application's light and dark style."""

from typing import Any

import qt

_COLOURS = {
    "good": ("#1b7a3a", "#6fcf8f"),
    "poor": ("#b35900", "#ffb366"),
    "failed": ("#b3261e", "#ff8a80"),
    "plain": ("", ""),
}
"""On light, and on dark."""

_BUTTON = (
    "QPushButton {{ font-weight: bold; border-radius: 4px; padding: 6px; color: white; background: {background}; }}"
    "QPushButton:hover {{ background: {hover}; }}"
    "QPushButton:pressed {{ background: {pressed}; }}"
)


def paint(label: Any, meaning: str, bold: bool = False) -> None:
    """Gives a label the colour of `meaning`: "good", "poor", "failed" or "plain"."""
    colour = _COLOURS[meaning][_is_dark(label)]
    parts = [f"color: {colour};" if colour else "", "font-weight: bold;" if bold else ""]
    style = " ".join(part for part in parts if part)
    if label.styleSheet != style:
        label.styleSheet = style


def stand_out(button: Any, on: bool) -> None:
    """The one button that most people press; plain where it cannot be pressed, or does something else."""
    style = _BUTTON.format(background="#2563a8", hover="#2f74c0", pressed="#1d4f87") if on else "font-weight: bold;"
    if button.styleSheet != style:
        button.styleSheet = style


def _is_dark(widget: Any) -> bool:
    return bool(widget.palette.color(qt.QPalette.Window).lightness() < 128)

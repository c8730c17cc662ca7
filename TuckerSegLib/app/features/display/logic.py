"""What changes how things look; nothing of it changes a result."""

import math
from typing import Any

from trame_server import Server

from ...viewer import layouts
from ..desk import Desk, Found
from ..feature import Feature
from ..image.logic import SOFT_TISSUE, first_window
from .state import DisplayState

PRESETS = {
    "Soft tissue": SOFT_TISSUE,
    "Lung": (-1350.0, 150.0),
    "Bone": (-450.0, 1050.0),
    "Brain": (0.0, 80.0),
    "Liver": (-45.0, 105.0),
    "Whole range": None,
}
"""Windows as radiologists know them, in Hounsfield units."""

LAYOUTS = {layouts.FOUR: "Four views", layouts.SLICES: "Axial", layouts.VOLUME: "3D", layouts.COMPARED: "Side by side"}


class DisplayLogic(Feature[DisplayState]):
    """Window, opacity, layout, theme."""

    def __init__(self, server: Server, desk: Desk) -> None:
        super().__init__(server, DisplayState)
        self._desk = desk
        self._image: Any = None
        self._found_nothing = True
        name = self.name
        self._bind(
            {
                name.preset: self._on_preset,
                (name.low, name.high): self._on_window,
                (name.opacity, name.outlined): self._on_opacity,
                name.layout: self._on_layout,
                name.volume_in_3d: self._on_volume_in_3d,
            }
        )
        desk.on_change(self._refresh)
        server.trigger("system_theme")(self.set_theme)

    def set_theme(self, theme: str) -> None:
        """Light or dark, as the user's system or a click says."""
        self.data.theme = "light" if theme == "light" else "dark"

    def set_layout(self, layout: str) -> None:
        self.data.layout = layout

    def _refresh(self) -> None:
        if self._desk.image is not self._image and self._desk.image is not None:
            self._image = self._desk.image
            self.data.low, self.data.high = first_window(self._image.volume)
            self.data.preset = "Soft tissue" if (self.data.low, self.data.high) == SOFT_TISSUE else "Whole range"
            self._found_nothing = True
            self._on_volume_in_3d(True)
            self.data.volume_in_3d = True
        if self._found_nothing and self._desk.found is not None:
            self._found_nothing = self.data.volume_in_3d = False
        for found in (self._desk.found, self._desk.compared):
            if found is not None:
                self._show_opacity(found)

    def _on_preset(self, preset: str) -> None:
        window = PRESETS.get(preset)
        if window is None and self._desk.image is not None:
            voxels = self._desk.image.volume.voxels[0]
            window = float(voxels.min()), float(max(voxels.max(), voxels.min() + 1))
        if window is not None:
            self.data.low, self.data.high = window

    def _on_window(self, low: Any, high: Any) -> None:
        if _is_number(low) and _is_number(high) and low < high:
            self._desk.scene.set_window((float(low), float(high)))

    def _on_opacity(self, *_values: Any) -> None:
        for found in (self._desk.found, self._desk.compared):
            if found is not None:
                self._show_opacity(found)

    def _show_opacity(self, found: Found) -> None:
        opacity = self.data.opacity if _is_number(self.data.opacity) else 0.5
        display = found.node.GetDisplayNode()
        display.SetOpacity2DFill(min(max(opacity, 0.0), 1.0))
        display.SetVisibility2DOutline(bool(self.data.outlined))

    def _on_layout(self, layout: str) -> None:
        if layout in LAYOUTS:
            self._desk.scene.set_layout(layout)

    def _on_volume_in_3d(self, shown: bool) -> None:
        self._desk.scene.set_volume_in_3d(bool(shown))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

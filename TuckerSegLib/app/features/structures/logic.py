"""The list of structures: rows at once, mean intensities and surfaces when there is time."""

import asyncio
from typing import Any

import numpy as np
from trame_server import Server

from ....volumes.statistics import statistics
from ....volumes.terminology import style
from ...viewer.surfaces import surfaces
from ..desk import Desk, Found, Image
from ..feature import Feature
from .state import StructureState


class StructureLogic(Feature[StructureState]):
    """Follows what the desk says was found."""

    def __init__(self, server: Server, desk: Desk) -> None:
        super().__init__(server, StructureState)
        self._desk = desk
        self._shown: Found | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        desk.on_change(self._refresh)

    def toggle(self, name: str) -> None:
        """Show or hide one structure."""
        self._show({row["id"]: row["shown"] != (row["id"] == name) for row in self.data.rows})

    def show_all(self, shown: bool) -> None:
        self._show({row["id"]: bool(shown) for row in self.data.rows})

    def only(self, name: str) -> None:
        """Hide all but one."""
        self._show({row["id"]: row["id"] == name for row in self.data.rows})

    def toggle_all(self) -> None:
        self.show_all(not self.data.anything)

    def fly_to(self, name: str) -> None:
        """Centre the views on a structure."""
        found = self._desk.found
        label = next((label for label, known in found.label_map.names.items() if known == name), 0) if found else 0
        if found is None or not label:
            return
        where = np.argwhere(found.label_map.labels == label)
        if len(where):
            self._desk.scene.fly_to(inner_point(where, found.label_map.geometry.ijk_to_ras))

    def _show(self, shown: dict[str, bool]) -> None:
        found = self._desk.found
        if found is None:
            return
        display = found.node.GetDisplayNode()
        change = display.StartModify()
        for name, visible in shown.items():
            display.SetSegmentVisibility(name, visible)
        display.EndModify(change)
        self.data.rows = [{**row, "shown": shown[row["id"]]} for row in self.data.rows]
        self.data.anything = any(shown.values())

    def _refresh(self) -> None:
        found, image = self._desk.found, self._desk.image
        if found is self._shown:
            return
        self._shown = found
        self.data.anything = True
        self.data.rows = _rows(found) if found else []
        self.flush()
        if found and image:
            for work in (self._measure(found, image), self._surface(found)):
                task = asyncio.ensure_future(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _measure(self, found: Found, image: Image) -> None:
        measured = await asyncio.to_thread(statistics, image.volume, found.label_map)
        means = {one.name: one.intensity for one in measured}
        if found is self._shown:
            self.data.rows = [{**row, "mean": _shortened(means.get(row["id"]))} for row in self.data.rows]
            self.flush()

    async def _surface(self, found: Found) -> None:
        made = await asyncio.to_thread(surfaces, found.label_map)
        if found is self._shown:
            self._desk.scene.add_surfaces(found.node, made)


def inner_point(where: Any, ijk_to_ras: Any) -> Any:
    """That of the voxels `where`, (n, 3) as (k, j, i), which is nearest to their middle, in RAS millimetres."""
    nearest = where[np.argmin(((where - where.mean(axis=0)) ** 2).sum(axis=1))]
    return (ijk_to_ras @ np.array([*nearest[::-1], 1.0]))[:3]


def _rows(found: Found) -> list[dict[str, Any]]:
    rows = []
    size, names = found.label_map.geometry.voxel_volume, found.label_map.names
    for label, count in found.label_map.voxel_counts().items():
        look = style(names.get(label, f"label_{label}"))
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in look.color)
        title = look.label[:1].upper() + look.label[1:]
        rows.append(
            {
                "id": look.name,
                "title": title,
                "colour": colour,
                "ml": _shortened(count * size),
                "mean": "",
                "shown": True,
            }
        )
    return sorted(rows, key=lambda row: str(row["title"]).lower())


def _shortened(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"

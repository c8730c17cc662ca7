"""Two positions of the slider on one image, side by side: where they differ, and how much for each structure."""

from typing import Any

import numpy as np
import numpy.typing as npt
from trame_server import Server

from ....decomposition.published import LEVELS
from ....segmentation.result import Segmentation
from ....volumes.terminology import style
from ....volumes.volume import LabelMap
from ...viewer import layouts
from ..desk import Desk, Found
from ..display.logic import DisplayLogic
from ..feature import Feature
from ..levels.logic import LevelLogic
from ..runs.logic import RunLogic
from ..runs.segmenting import Segmenting
from ..structures.logic import inner_point
from .state import ComparingState

_DIFFERENCES = {1: "only on the left", 2: "only on the right", 3: "another structure"}

_COLOURS = {1: (1.0, 0.85, 0.0), 2: (0.0, 0.85, 1.0), 3: (1.0, 0.0, 0.85)}


class ComparingLogic(Feature[ComparingState]):
    """The first position's result is the desk's own; the second one lies in the views beside."""

    def __init__(
        self,
        server: Server,
        desk: Desk,
        runs: RunLogic,
        segmenting: Segmenting,
        levels: LevelLogic,
        display: DisplayLogic,
    ) -> None:
        super().__init__(server, ComparingState)
        self._desk, self._runs, self._segmenting = desk, runs, segmenting
        self._levels, self._display = levels, display
        self._node: Any = None
        self._bind({self.name.differences: self._show_differences})
        server.state.change(str(display.name.layout))(self._show_differences)
        desk.on_change(self._refresh)

    async def compare(self) -> None:
        """Segment at both positions, as far as that was not done, and show them side by side."""
        if self._runs.data.obstacle or self._runs.busy:
            return
        positions = [_position(self.data.left), _position(self.data.right)]
        requests = [self._levels.at(position) for position in positions]
        if requests[0] == requests[1]:
            self._runs.say("Choose two different positions to compare.", "plain")
            return
        titles = [f"Level {request.factor:g}" for request in requests]
        results = await self._segmenting.segment(requests, titles)
        if results is None:
            return
        left = self._segmenting.show(requests[0], results[0])
        self._desk.scene.limit(left.node, (*layouts.LEFT, "Yellow", "ThreeD"))
        before = self._desk.compared.node if self._desk.compared else None
        right = Found(requests[1], results[1], self._desk.scene.show(results[1], before, layouts.RIGHT))
        self._desk.put(left, right)
        self._tell(left.segmentation, right.segmentation, titles)
        self._mark(left.label_map, right.label_map)
        self._display.set_layout(layouts.COMPARED)
        self.flush()

    def fly_to(self, name: str) -> None:
        """Centre the views on where the two differ most in a structure."""
        left, right = self._desk.found, self._desk.compared
        if left is None or right is None:
            return
        ours, theirs = (_mask(one.label_map, name) for one in (left, right))
        where = np.argwhere(ours != theirs)
        where = where if len(where) else np.argwhere(ours)
        if len(where):
            self._desk.scene.fly_to(inner_point(where, left.label_map.geometry.ijk_to_ras))

    def _tell(self, left: Segmentation, right: Segmentation, titles: list[str]) -> None:
        values = left.dice(right)
        ours, theirs = left.volumes, right.volumes
        rows = [
            {
                "id": name,
                "title": (label := style(name).label)[:1].upper() + label[1:],
                "dice": f"{value:.3f}",
                "left": f"{ours.get(name, 0.0):.1f}",
                "right": f"{theirs.get(name, 0.0):.1f}",
            }
            for name, value in sorted(values.items(), key=lambda pair: pair[1])
        ]
        self.data.rows, self.data.titles = rows, titles
        mean = sum(values.values()) / len(values) if values else 1.0
        self.data.summary = f"Mean Dice of {titles[0].lower()} with {titles[1].lower()}: {mean:.3f}"
        self._runs.say(self.data.summary)

    def _mark(self, left: LabelMap, right: LabelMap) -> None:
        labels = differences(left.labels, right.labels)
        found = LabelMap(labels, left.geometry, _DIFFERENCES)
        if not labels.any():
            self._clear()
            return
        self._node = self._desk.scene.show_label_map(found, self._node, (*layouts.LEFT, *layouts.RIGHT))
        segmentation, display = self._node.GetSegmentation(), self._node.GetDisplayNode()
        for name in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(name)
            segment.SetColor(*_COLOURS[segment.GetLabelValue()])
        display.SetOpacity2DFill(0.75)
        self._show_differences()

    def _show_differences(self, *_values: Any, **_states: Any) -> None:
        """Only while two positions lie side by side."""
        if self._node is not None and self._node.GetScene() is not None:
            side_by_side = self._display.data.layout == layouts.COMPARED
            self._node.GetDisplayNode().SetVisibility(side_by_side and bool(self.data.differences))

    def _refresh(self) -> None:
        """A comparison that is no longer there is not told of."""
        if self._desk.compared is None and (self.data.rows or self._node is not None):
            self.data.rows, self.data.summary = [], ""
            self._clear()

    def _clear(self) -> None:
        self._desk.scene.remove(self._node)
        self._node = None


def differences(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """1 where the left map (K, J, I) alone has a structure, 2 where the right one has, 3 where they have others."""
    found = np.zeros(left.shape, np.uint8)
    differ = left != right
    found[differ & (right == 0)] = 1
    found[differ & (left == 0)] = 2
    found[differ & (left != 0) & (right != 0)] = 3
    return found


def _mask(label_map: LabelMap, name: str) -> npt.NDArray[np.bool_]:
    label = next((label for label, known in label_map.names.items() if known == name), -1)
    mask: npt.NDArray[np.bool_] = label_map.labels == label
    return mask


def _position(value: Any) -> int:
    return min(max(int(value), 0), len(LEVELS) - 1) if isinstance(value, int | float) else 0

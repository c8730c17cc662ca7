"""What is done with a result: shown in 3D, measured, exported."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import TuckerSegError

from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..scene import ownership, statistics, views
from ..scene.tables import fill_statistics
from .run_panel import RunPanel


class ResultPanel:
    """Looks after the buttons below the status, which are there once a segmentation is."""

    def __init__(self, ui: Any, choices: SceneChoices, runs: RunPanel) -> None:
        self._ui, self._choices, self._runs = ui, choices, runs
        ui.statisticsButton.connect("clicked(bool)", self._on_statistics)

    def show(self, state: State) -> None:
        segmentation = state.chosen.segmentation
        self._ui.show3DButton.setSegmentationNode(segmentation)
        self._ui.resultFrame.visible = segmentation is not None and not state.busy
        of_volume = ownership.is_segmentation_of(segmentation, state.chosen.volume)
        self._ui.statisticsButton.enabled = of_volume and segmentation.GetSegmentation().GetNumberOfSegments() > 0

    def _on_statistics(self, _checked: bool = False) -> None:
        chosen = self._choices.chosen
        volume, segmentation = chosen.volume, chosen.segmentation
        try:
            with slicer.util.WaitCursor():
                found = statistics.measured(segmentation, volume)
        except TuckerSegError as error:
            self._runs.report(error)
            return
        table = fill_statistics(ownership.own_table(chosen.statistics, volume), segmentation, found, _unit(volume))
        ownership.is_about(table, volume)
        self._choices.choose(statistics=table)
        views.show_table(table)
        self._runs.say(_("Volume and intensities of each structure stand in the table"))


def _unit(volume: Any) -> str:
    """Such as HU, where the volume came with it."""
    units = volume.GetVoxelValueUnits()
    return str(units.GetCodeValue()).replace("[hnsf'U]", "HU") if units is not None else ""

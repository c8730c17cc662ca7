"""What few users change: device, engine, structures, names, frames, and how a level is made."""

from typing import Any

from slicer.i18n import tr as _

from ..choices import models
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..logic import TuckerSegLogic
from ..scene import sequences
from ..words import wording
from .lists.choice_list import ChoiceList
from .lists.structure_list import StructureList


class AdvancedPanel:
    """Looks after the controls below *Advanced*, but for the cache."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices) -> None:
        self._ui, self._logic, self._choices = ui, logic, choices
        self._computer_asked = False
        ui.advancedCollapsibleButton.collapsed = True
        self._devices = ChoiceList(ui.deviceSelector, wording.device_titles(), ["auto", "cpu"])
        self._engines = ChoiceList(ui.engineSelector, wording.engine_titles(), ["auto"])
        self._structures = StructureList(
            ui.structuresList, ui.structuresSearchBox, ui.structuresSummaryLabel, self._on_structures
        )
        ui.deviceSelector.connect("activated(int)", lambda _index: choices.choose(device=self._devices.key))
        ui.engineSelector.connect("activated(int)", lambda _index: choices.choose(engine=self._engines.key))
        ui.standardNamesCheckBox.connect("toggled(bool)", lambda on: choices.choose(standard_names=on))
        ui.allFramesCheckBox.connect("toggled(bool)", lambda on: choices.choose(all_frames=on))
        ui.exactRanksCheckBox.connect("toggled(bool)", lambda on: choices.choose(exact_ranks=on))
        ui.fitToScanCheckBox.connect("toggled(bool)", lambda on: choices.choose(fit_to_scan=on))
        ui.allStructuresButton.connect("clicked(bool)", lambda _checked=False: self._structures.clear_ticks())

    def show(self, state: State) -> None:
        chosen = state.chosen
        self._devices.choose(chosen.device)
        self._engines.choose(chosen.engine)
        self._structures.fill(models.structures_of(chosen.model), chosen.structures)
        self._ui.standardNamesCheckBox.checked = chosen.standard_names
        self._ui.allFramesCheckBox.checked = chosen.all_frames
        self._ui.exactRanksCheckBox.checked = chosen.exact_ranks
        self._ui.exactRanksCheckBox.enabled = not state.compressed
        self._ui.fitToScanCheckBox.checked = chosen.fit_to_scan
        self._ui.fitToScanCheckBox.enabled = not state.compressed
        self._show_whether_sequence(chosen.volume)

    def ask(self) -> None:
        """Which devices and engines there are is known to the worker, which has PyTorch."""
        if not self._computer_asked:
            self._computer_asked = True
            self._logic.ask("ping", self.take)

    def take(self, answer: dict[str, Any]) -> None:
        """What the worker answered."""
        self._devices.offer(answer["devices"])
        self._engines.offer(answer["engines"])

    def _on_structures(self) -> None:
        self._choices.choose(structures=self._structures.ticked)

    def _show_whether_sequence(self, volume: Any) -> None:
        possible = sequences.browser_of(volume) is not None
        self._ui.allFramesCheckBox.enabled = possible
        self._ui.allFramesCheckBox.toolTip = (
            _("Segment every frame of the sequence that the input volume belongs to")
            if possible
            else _("The input volume is not part of a sequence")
        )

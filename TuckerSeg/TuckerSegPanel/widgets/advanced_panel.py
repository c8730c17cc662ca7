"""What few users change: device, engine, folds, patches, frames, and how a level is made."""

from typing import Any

from slicer.i18n import tr as _

from TuckerSegLib.words import wording

from ..choices import models
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..logic import TuckerSegLogic
from ..scene import sequences
from .lists.choice_list import ChoiceList


class AdvancedPanel:
    """Looks after the controls below *Advanced*, but for the cache."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices) -> None:
        self._ui, self._logic, self._choices = ui, logic, choices
        self._computer_asked = False
        ui.advancedCollapsibleButton.collapsed = True
        self._devices = ChoiceList(ui.deviceSelector, wording.device_titles(), ["auto", "cpu"])
        self._engines = ChoiceList(ui.engineSelector, wording.engine_titles(), ["auto"])
        ui.deviceSelector.connect("activated(int)", lambda _index: choices.choose(device=self._devices.key))
        ui.engineSelector.connect("activated(int)", lambda _index: choices.choose(engine=self._engines.key))
        ui.foldsEdit.connect("editingFinished()", self._on_folds)
        ui.stepSpinBox.connect("valueChanged(double)", lambda step: choices.choose(step=step or None))
        ui.mirroringCheckBox.connect("toggled(bool)", lambda on: choices.choose(mirroring=on))
        ui.allFramesCheckBox.connect("toggled(bool)", lambda on: choices.choose(all_frames=on))
        ui.leaveCoreFreeCheckBox.connect("toggled(bool)", lambda on: choices.choose(leave_core_free=on))
        ui.exactRanksCheckBox.connect("toggled(bool)", lambda on: choices.choose(exact_ranks=on))
        ui.fitToScanCheckBox.connect("toggled(bool)", lambda on: choices.choose(fit_to_scan=on))
        ui.atLeastCheckBox.connect("toggled(bool)", lambda _on: self._on_at_least())
        ui.atLeastSpinBox.connect("valueChanged(double)", lambda _value: self._on_at_least())

    def show(self, state: State) -> None:
        chosen = state.chosen
        self._devices.choose(chosen.device)
        self._engines.choose(chosen.engine)
        is_task = models.is_task(chosen.model)
        self._ui.foldsEdit.text = ", ".join(chosen.folds)
        self._ui.foldsEdit.enabled = not is_task and not state.compressed
        self._ui.stepSpinBox.value = chosen.step or 0.0
        self._ui.mirroringCheckBox.checked = chosen.mirroring and not is_task
        self._ui.mirroringCheckBox.enabled = not is_task
        self._ui.allFramesCheckBox.checked = chosen.all_frames
        self._ui.leaveCoreFreeCheckBox.checked = chosen.leave_core_free
        self._ui.exactRanksCheckBox.checked = chosen.exact_ranks
        self._ui.exactRanksCheckBox.enabled = not state.compressed
        self._ui.fitToScanCheckBox.checked = chosen.fit_to_scan
        self._ui.fitToScanCheckBox.enabled = not state.compressed
        self._show_at_least(chosen.at_least, possible=not state.compressed)
        self._show_whether_sequence(chosen.volume)

    def ask(self) -> None:
        """Which devices and engines there are is known to the worker, which has PyTorch."""
        if not self._computer_asked:
            self._computer_asked = True
            self._logic.ask("ping", self.take)

    def forget(self) -> None:
        """Another worker may know other devices and engines."""
        self._computer_asked = False

    def take(self, answer: dict[str, Any]) -> None:
        """What the worker answered."""
        self._devices.offer(answer["devices"])
        self._engines.offer(answer["engines"])

    def _on_folds(self) -> None:
        self._choices.choose(folds=tuple(self._ui.foldsEdit.text.replace(",", " ").split()))

    def _on_at_least(self) -> None:
        wanted = self._ui.atLeastCheckBox.checked
        self._choices.choose(at_least=round(self._ui.atLeastSpinBox.value, 2) if wanted else None)

    def _show_at_least(self, agreement: float | None, possible: bool) -> None:
        """A compressed file comes without the original network, so that nothing can be promised."""
        self._ui.atLeastCheckBox.checked = agreement is not None
        self._ui.atLeastCheckBox.enabled = possible
        self._ui.atLeastSpinBox.enabled = possible and agreement is not None
        if agreement is not None:
            self._ui.atLeastSpinBox.value = agreement

    def _show_whether_sequence(self, volume: Any) -> None:
        possible = sequences.browser_of(volume) is not None
        self._ui.allFramesCheckBox.enabled = possible
        self._ui.allFramesCheckBox.toolTip = (
            _("Segment every frame of the sequence that the input volume belongs to")
            if possible
            else _("The input volume is not part of a sequence")
        )

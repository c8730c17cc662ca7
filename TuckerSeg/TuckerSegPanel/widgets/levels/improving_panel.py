"""All positions of the slider, trained further for as long as somebody gives them."""

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from TuckerSegLib.segmentation.slider.measurements import setup_of
from TuckerSegLib.words import wording

from ...choices.scene_choices import SceneChoices
from ...choices.state import State
from ...logic import TuckerSegLogic
from ...runs.run import Step, Steps
from ..run_panel import RunPanel


class ImprovingPanel:
    """Looks after *Improve*; `improved` is called with the model whose levels are others now."""

    def __init__(
        self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices, runs: RunPanel, improved: Callable[[str], None]
    ) -> None:
        self._ui, self._logic, self._choices, self._runs, self._improved = ui, logic, choices, runs, improved
        ui.improvingCollapsibleButton.collapsed = True
        ui.improveButton.connect("clicked(bool)", self._on_improve)

    def show(self, state: State) -> None:
        """No volume is needed."""
        possible = not (state.busy or state.need or state.compressed)
        self._ui.improveButton.enabled = possible
        self._ui.minutesSpinBox.enabled = possible

    def _on_improve(self, _checked: bool = False) -> None:
        model, minutes = self._choices.chosen.model, self._ui.minutesSpinBox.value
        self._runs.start(self._train(model, minutes), None, lambda _answer: self._on_improved(model, minutes))

    def _train(self, model: str, minutes: float) -> Steps:
        title = _("Improving the levels")
        return (yield Step(self._logic.client.call("prepare", model=model, minutes=minutes), title=title))

    def _on_improved(self, model: str, minutes: float) -> None:
        self._logic.measurements.forget(setup_of(self._choices.request))
        self._improved(model)
        self._runs.say(wording.improved(minutes))

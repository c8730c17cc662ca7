"""The slider, and the lines below it that say what its position costs."""

from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.segmentation.slider.measurements import Expected, setup_of
from TuckerSegLib.words import wording
from TuckerSegLib.words.wording import Cost

from ...choices.scene_choices import SceneChoices
from ...choices.state import State
from ...logic import TuckerSegLogic
from ...words import colours


class LevelPanel:
    """Looks after the slider; asks the worker once for each model what its levels save."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices) -> None:
        self._ui, self._logic, self._choices = ui, logic, choices
        self._costs: dict[str, dict[float, Cost]] = {}
        ui.levelSlider.maximum = len(LEVELS) - 1
        _label_ticks(ui.levelValuesLayout)
        ui.levelSlider.connect("valueChanged(int)", lambda position: choices.choose(factor=LEVELS[position]))

    def show(self, state: State) -> None:
        chosen, costs = state.chosen, self._costs.get(state.chosen.model, {})
        self._ui.levelSlider.value = chosen.position
        self._ui.levelSlider.enabled = not state.compressed
        expected, factor = self._expected(state), chosen.factor
        if state.compressed:
            factor, expected = next(iter(costs), factor), Expected(expected.seconds)
        cost = costs.get(factor)
        text, meaning = wording.gain(factor, cost, expected)
        self._ui.expectedLabel.text = text
        exact = chosen.exact_ranks or state.compressed
        self._ui.expectedLabel.toolTip = wording.basis(factor, cost, expected, exact)
        colours.paint(self._ui.expectedLabel, meaning)

    def ask(self) -> None:
        """What levels of the chosen model save is known to the worker, which opens the model for it."""
        model = self._choices.chosen.model
        if model and model not in self._costs:
            self._costs[model] = {}
            self._logic.ask("levels", lambda answer: self.take(model, answer), model=model)

    def take(self, model: str, answer: dict[str, Any]) -> None:
        """What the worker answered."""
        costs = [Cost.of(level) for level in answer["levels"]]
        self._costs[model] = {cost.factor: cost for cost in costs}
        self._choices.tell()

    def forget(self, model: str) -> None:
        """The model changed: ask anew."""
        self._costs.pop(model, None)

    def _expected(self, state: State) -> Expected:
        request = self._choices.request
        return self._logic.measurements.expected(setup_of(request), request.factor, millilitres(state.chosen.volume))


def _label_ticks(layout: Any) -> None:
    """Writes each level below its tick: two columns a level, but one at either end, put the labels' middles there."""
    last = len(LEVELS) - 1
    for position, factor in enumerate(LEVELS):
        label = qt.QLabel(f"{factor:g}")
        label.toolTip = _("Share of each layer's channels that is kept (downsampling factor, DF)")
        aligned = {0: qt.Qt.AlignLeft, last: qt.Qt.AlignRight}.get(position, qt.Qt.AlignHCenter)
        column = max(2 * position - 1, 0)
        layout.addWidget(label, 0, column, 1, 1 if position in (0, last) else 2, aligned)
    for column in range(2 * last):
        layout.setColumnStretch(column, 1)
        layout.setColumnMinimumWidth(column, 1)


def millilitres(volume: Any) -> float | None:
    """The size of the whole image, by which expected seconds are scaled; None where there is none."""
    if volume is None or volume.GetImageData() is None:
        return None
    return float(np.prod(volume.GetImageData().GetDimensions()) * np.prod(volume.GetSpacing()) / 1000)

"""The slider, and the lines below it that say what its position costs."""

from typing import Any

import numpy as np

from TuckerSegLib.decomposition.published import LEVELS

from ..choices.measurements import Expected
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..logic import TuckerSegLogic
from ..runs.segmenting import setup_of
from ..words import wording
from ..words.wording import Cost


class LevelPanel:
    """Looks after the slider; asks the worker once for each model what its levels save."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices) -> None:
        self._ui, self._logic, self._choices = ui, logic, choices
        self._costs: dict[str, dict[float, Cost]] = {}
        ui.levelSlider.maximum = len(LEVELS) - 1
        ui.levelSlider.connect("valueChanged(int)", lambda position: choices.choose(factor=LEVELS[position]))

    def show(self, state: State) -> None:
        chosen, costs = state.chosen, self._costs.get(state.chosen.model, {})
        self._ui.levelSlider.value = chosen.position
        self._ui.levelSlider.enabled = not state.compressed
        expected, factor = self._expected(state), chosen.factor
        if state.compressed:
            factor, expected = next(iter(costs), factor), Expected(expected.seconds, None)
        cost = costs.get(factor)
        self._ui.savingsLabel.text = wording.savings(factor, cost, chosen.exact_ranks or state.compressed)
        self._ui.expectedLabel.text = wording.expectation(factor, cost, expected)

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


def millilitres(volume: Any) -> float | None:
    """The size of the whole image, by which expected seconds are scaled; None where there is none."""
    if volume is None or volume.GetImageData() is None:
        return None
    return float(np.prod(volume.GetImageData().GetDimensions()) * np.prod(volume.GetSpacing()) / 1000)

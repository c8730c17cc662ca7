"""How a level compares with the original: measured, by structure, side by side, plotted against time."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.slider.measurements import setup_of

from ...choices import models
from ...choices.scene_choices import SceneChoices
from ...choices.state import State
from ...logic import TuckerSegLogic
from ...runs.segmenting import Compared, unmeasured
from ...scene import ownership, side_by_side, views
from ...scene.tables import fill_trade_off
from ..run_panel import RunPanel


class ComparingPanel:
    """Looks after *Measure*, *By structure*, *Side by side* and *All levels*."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices, runs: RunPanel) -> None:
        self._ui, self._logic, self._choices, self._runs = ui, logic, choices, runs
        ui.measureButton.connect("clicked(bool)", self._on_measure)
        ui.compareButton.connect("clicked(bool)", self._on_compare)
        ui.sideBySideButton.connect("clicked(bool)", self._on_side_by_side)
        ui.tradeOffButton.connect("clicked(bool)", self._on_trade_off)

    def show(self, state: State) -> None:
        possible = state.can_start and not state.compressed
        self._ui.measureButton.enabled = possible
        self._ui.compareButton.enabled = possible and state.chosen.factor != 1
        self._ui.tradeOffButton.enabled = possible
        shown = side_by_side.is_shown(state.chosen.segmentation)
        self._ui.sideBySideButton.checked = shown
        self._ui.sideBySideButton.enabled = not state.busy and (shown or self._ui.compareButton.enabled)

    def _on_measure(self, _checked: bool = False) -> None:
        volume, request = self._choices.chosen.volume, self._choices.request
        steps = self._logic.segmenting.measure(volume, request, [request.factor])
        self._runs.start(steps, volume, self._on_measured)

    def _on_measured(self, volume: Any) -> None:
        self._runs.say(_("Measured on {volume}").format(volume=volume.GetName()))

    def _on_side_by_side(self, _checked: bool = False) -> None:
        """Beside the original's result, or, where it is there, alone again."""
        chosen = self._choices.chosen
        if side_by_side.is_shown(chosen.segmentation):
            side_by_side.end(chosen.segmentation)
            self._choices.tell()
            return
        steps = self._logic.segmenting.side_by_side(
            chosen.volume, chosen.segmentation, self._choices.request, chosen.standard_names
        )
        self._runs.start(steps, chosen.volume, self._on_shown_side_by_side)

    def _on_shown_side_by_side(self, compared: Compared) -> None:
        text = _("Left this level, right the original, red where they differ; agreement {dice:.3f}")
        if self._choices.is_chosen(compared.volume):
            self._choices.choose(segmentation=compared.segmentation)
        self._runs.say(text.format(dice=compared.agreement))

    def _on_compare(self, _checked: bool = False) -> None:
        chosen = self._choices.chosen
        steps = self._logic.segmenting.compare(
            chosen.volume, chosen.segmentation, chosen.comparison, self._choices.request, chosen.standard_names
        )
        self._runs.start(steps, chosen.volume, self._on_compared)

    def _on_compared(self, compared: Compared) -> None:
        text = _("Agreement with the original {dice:.3f} (mean Dice); each structure stands in the table").format(
            dice=compared.agreement
        )
        if self._choices.is_chosen(compared.volume):
            self._choices.choose(segmentation=compared.segmentation, comparison=compared.table)
        else:
            text = f"{compared.volume.GetName()}: {text}"
        views.show_table(compared.table)
        self._runs.say(text)

    def _on_trade_off(self, _checked: bool = False) -> None:
        volume, request = self._choices.chosen.volume, self._choices.request
        unknown = unmeasured(self._logic.measurements, request)
        question = _(
            "{count} of {total} levels were not measured with this model yet. Measure them now on {volume}? "
            "You can go on working meanwhile, and cancel at any time."
        ).format(count=len(unknown), total=len(LEVELS), volume=volume.GetName())
        if unknown and slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            steps = self._logic.segmenting.measure(volume, request, unknown)
            self._runs.start(steps, volume, lambda _volume: self._plot(request))
        else:
            self._plot(request)

    def _plot(self, request: Request) -> None:
        """What is known of the levels that `request` asks for, in the chart of these where there is one."""
        setup = setup_of(request)
        known = self._logic.measurements.of(setup)
        if not any(level.agreement is not None and level.seconds is not None for level in known):
            self._runs.say(_("No level was measured yet, so there is nothing to plot"))
            return
        title = models.model_of(request.model).title
        own = ownership.own_chart(self._choices.chosen.trade_off, setup.key)
        chart = fill_trade_off(own, known, request.factor, title)
        ownership.shows(chart, setup.key)
        self._choices.choose(trade_off=chart)
        views.show_chart(chart)
        self._runs.say(_("The trade-off of the measured levels is plotted"))

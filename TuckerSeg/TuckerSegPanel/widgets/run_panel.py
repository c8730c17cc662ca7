"""The button that starts and cancels, the progress below it, and how the last run ended."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import Cancelled, WeightsError
from TuckerSegLib.words import stages

from ..choices.state import State
from ..logic import TuckerSegLogic
from ..runs.run import Advance, Run, Steps
from ..runs.runner import Listener
from ..words import colours, errors
from .log import Log


class RunPanel:
    """Starts runs of any kind and shows them; `begin` is what the button does where nothing runs, and
    `offer_weights` is asked to help where a run lacked some, and says whether it could.
    """

    def __init__(self, ui: Any, logic: TuckerSegLogic, log: Log, refresh: Callable[[], None]) -> None:
        self._ui, self._logic, self._log, self._refresh = ui, logic, log, refresh
        self.begin: Callable[[], None] = lambda: None
        self.offer_weights: Callable[[WeightsError], bool] = lambda _error: False
        ui.applyButton.connect("clicked(bool)", self._on_apply)

    def show(self, state: State) -> None:
        button = self._ui.applyButton
        button.text = _("Cancel") if state.busy else _("Segment")
        button.enabled = state.busy or not state.obstacle
        purpose = _("Stop this run; the scene stays as it was") if state.busy else _("Segment the input volume")
        colours.stand_out(button, on=state.can_start)
        button.toolTip = purpose if state.busy or not state.obstacle else state.obstacle
        self._ui.progressBar.visible = state.busy
        self._ui.statusLabel.visible = bool(self._ui.statusLabel.text)

    def start(self, steps: Steps, volume: Any, finished: Callable[[Any], None]) -> None:
        """Starts a run that cannot do without `volume`, if that is not None; `finished` is told what came of it."""
        self._ui.progressBar.value = 0
        run = Run(steps, [volume] if volume else [])
        self._logic.start(Listener(run, self._on_progress, lambda result: self._end(finished, result), self._on_failed))
        self._refresh()

    def say(self, text: str, meaning: str = "good") -> None:
        """How a run ended, or why none is needed; `meaning` is one of the colours'."""
        self._show_status(text, meaning)
        self._log.add(text)

    def note(self, text: str) -> None:
        """For the log alone."""
        self._log.add(text)

    def report(self, error: BaseException) -> None:
        """One sentence in a dialog; what a developer needs stands behind its button for details."""
        details = getattr(error, "details", "") or self._logic.client.log_tail()
        sentence = errors.translated(str(error))
        self._show_status(sentence, "failed")
        self._log.add_failure(sentence, details)
        more = {"detailedText": details} if details else {}
        slicer.util.errorDisplay(sentence, _("TuckerSeg"), **more)

    def _on_apply(self, _checked: bool = False) -> None:
        if self._logic.busy:
            self._logic.cancel()
        else:
            self.begin()

    def _on_progress(self, advance: Advance) -> None:
        self._show_bar(advance)
        self._show_status(stages.describe(advance, advance.title), "plain")

    def _end(self, finished: Callable[[Any], None], result: Any) -> None:
        finished(result)
        self._refresh()

    def _on_failed(self, error: BaseException) -> None:
        self._refresh()
        if isinstance(error, Cancelled):
            self.say(errors.translated(str(error)), "plain")
        elif isinstance(error, WeightsError) and self.offer_weights(error):
            self.note(str(error))
        else:
            self.report(error)

    def _show_bar(self, advance: Advance) -> None:
        """While a run is being prepared its fraction stands: the bar shows the stage's, or that something goes on."""
        bar, fraction = self._ui.progressBar, advance.fraction
        if stages.is_preparing(advance):
            fraction = advance.number / advance.count if advance.count else None
        bar.maximum = 0 if fraction is None else 1000
        bar.value = int(1000 * (fraction or 0))

    def _show_status(self, text: str, meaning: str) -> None:
        label = self._ui.statusLabel
        label.text = text
        label.visible = True
        colours.paint(label, meaning, bold=meaning in ("good", "poor"))

"""TotalSegmentator's weights: downloaded when the user agrees to that and to their terms, imported, removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import WeightsError
from TuckerSegLib.models.totalsegmentator.tasks import LICENCE_PAGE

from ...choices import models, tasks
from ...choices.scene_choices import SceneChoices
from ...choices.state import State
from ...logic import TuckerSegLogic
from ...runs import weights
from ..run_panel import RunPanel


class WeightsPanel:
    """Looks after three entries of the menu beside the models; `changed` is called when there are other weights.

    Runs of these need no volume: deleting the input does not break a download off.
    """

    def __init__(
        self,
        menu: Any,
        logic: TuckerSegLogic,
        choices: SceneChoices,
        runs: RunPanel,
        changed: Callable[[], None],
        parent: Any,
    ) -> None:
        self._logic, self._choices, self._runs = logic, choices, runs
        self._changed, self._parent = changed, parent
        self._import = menu.addAction(_("Archive of TotalSegmentator's weights (.zip)…"))
        self._remove = menu.addAction(_("Remove this model's weights from the disk…"))
        self._import.connect("triggered()", self.import_archive)
        self._remove.connect("triggered()", self.remove)

    def show(self, state: State) -> None:
        possible = not state.busy and not state.need
        self._import.enabled = possible
        self._remove.enabled = possible and models.installed_task(state.chosen.model) is not None

    def offer(self, task: Any) -> None:
        """Downloads the task's weights, if the user agrees."""
        if not task.released:
            text = _(
                "The weights of {task} were never released. If you have their archive, import it: Browse, Archive of "
                "TotalSegmentator's weights."
            )
            slicer.util.infoDisplay(text.format(task=task.name), _("TuckerSeg"))
        elif task.licensed:
            self._ask_for_licence(task)
        elif slicer.util.confirmYesNoDisplay(_question(task), _("TuckerSeg")):
            self._download(task, None)

    def offer_missing(self, error: WeightsError) -> bool:
        """Offers what a run lacked, such as weights of the task that finds where to look; whether it was known."""
        task = next((task for task in tasks.known() if task.name == error.task), None)
        if task is not None:
            self.offer(task)
        return task is not None

    def import_archive(self) -> None:
        kinds = _("Archives of weights") + " (*.zip)"
        path = qt.QFileDialog.getOpenFileName(self._parent, _("Archive of TotalSegmentator's weights"), "", kinds)
        if path:
            self._runs.start(weights.unpack(self._logic.client, Path(path)), None, self._on_imported)

    def remove(self) -> None:
        task = models.installed_task(self._choices.chosen.model)
        question = _(
            "Remove the weights of {task} from the disk? TotalSegmentator uses the same files; networks that other "
            "tasks need stay. They can be downloaded again."
        )
        if task is not None and slicer.util.confirmYesNoDisplay(question.format(task=task.name), _("TuckerSeg")):
            self._runs.start(weights.remove(self._logic.client, task.name), None, self._on_removed)

    def _ask_for_licence(self, task: Any) -> None:
        label = (
            _question(task)
            + "\n\n"
            + _(
                "TotalSegmentator licenses these weights: a number is free of charge for academic use, commercial use "
                "needs another licence. You get a number, and the terms you agree to with it, at\n{page}\n\n"
                "Licence number, which is sent to TotalSegmentator's server and kept where TotalSegmentator keeps it:"
            ).format(page=LICENCE_PAGE)
        )
        number = qt.QInputDialog.getText(self._parent, _("TuckerSeg"), label)
        if number and number.strip():
            self._download(task, number.strip())

    def _download(self, task: Any, licence_number: str | None) -> None:
        self._runs.start(weights.download(self._logic.client, task.name, licence_number), None, self._on_downloaded)

    def _on_downloaded(self, _answer: Any) -> None:
        self._runs.say(_("The weights were downloaded: press Segment"))
        self._changed()

    def _on_imported(self, answer: Any) -> None:
        new = ", ".join(answer["installed"])
        self._runs.say(_("Imported: {names}").format(names=new) if new else _("These weights were here already"))
        self._changed()

    def _on_removed(self, freed: int) -> None:
        self._runs.say(_("The weights were removed, which freed {size} MB").format(size=f"{freed / 1e6:.0f}"))
        self._changed()


def _question(task: Any) -> str:
    return _(
        "The weights of {task} are not on this computer. Download {count} networks from TotalSegmentator's pages now? "
        "Nothing is sent but the request for these files. Slicer stays usable meanwhile."
    ).format(task=task.name, count=task.networks)

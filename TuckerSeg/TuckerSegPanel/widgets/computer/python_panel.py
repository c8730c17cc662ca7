"""Which Python runs the networks: TuckerSeg's own, 3D Slicer's, or any other; made, replaced and removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import TuckerSegError

from ...choices.state import State
from ...environment import builds, interpreters, making
from ...environment.making import Plan
from ...environment.places import Places
from ..lists.choice_list import ChoiceList
from ..run_panel import RunPanel
from .packages_panel import PackagesPanel


class PythonPanel:
    """Looks after the row *Python* below *Advanced*; `changed` is called when another one is to be used."""

    def __init__(
        self, ui: Any, packages: PackagesPanel, runs: RunPanel, changed: Callable[[], None], parent: Any
    ) -> None:
        self._ui, self._packages, self._runs, self._changed, self._parent = ui, packages, runs, changed, parent
        titles = {interpreters.OWN: _("TuckerSeg's own"), interpreters.SLICERS: _("3D Slicer's own")}
        self._list = ChoiceList(ui.pythonSelector, titles, list(titles))
        ui.pythonSelector.connect("activated(int)", lambda _index: self._choose(self._list.key))
        self.menu = qt.QMenu(ui.pythonButton)
        self._add(_("Another interpreter…"), self.browse)
        self._add(_("Install TuckerSeg's own from a folder of wheels…"), self.install_from_wheels)
        self._add(_("Make TuckerSeg's own from an interpreter of this computer…"), self.make_from)
        if builds.has_nvidia():
            self._add(_("Install TuckerSeg's own without GPU support…"), self.install_for_cpu)
        self._remove = self._add(_("Remove TuckerSeg's own from the disk…"), self.remove)
        ui.pythonButton.setMenu(self.menu)

    def show(self, state: State) -> None:
        self._list.choose(interpreters.chosen())
        self._ui.pythonSelector.enabled = self._ui.pythonButton.enabled = not state.busy
        self._remove.enabled = Places.of_user().begun

    def browse(self) -> None:
        """Any interpreter of this computer that can run the worker."""
        python = self._ask_for_interpreter()
        if not python:
            return
        try:
            with slicer.util.WaitCursor():
                interpreters.check(python)
        except TuckerSegError as error:
            self._runs.report(error)
        else:
            self._choose(python)

    def install_from_wheels(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._parent, _("Folder of wheels"))
        if folder:
            self._packages.make(Plan(builds.fitting(), wheels=Path(folder)))

    def make_from(self) -> None:
        python = self._ask_for_interpreter()
        if python:
            self._packages.make(Plan(builds.fitting(), base=python))

    def install_for_cpu(self) -> None:
        self._packages.make(Plan(builds.CPU))

    def remove(self) -> None:
        question = _("Remove the Python of TuckerSeg's own, {folder}, from the disk? It can be installed again.")
        if slicer.util.confirmYesNoDisplay(question.format(folder=Places.of_user().root), _("TuckerSeg")):
            self._packages.end_worker()
            self._runs.start(making.remove(Places.of_user()), None, self._on_removed)

    def _add(self, title: str, chosen: Callable[[], None]) -> Any:
        action = self.menu.addAction(title)
        action.connect("triggered()", chosen)
        return action

    def _ask_for_interpreter(self) -> str:
        return str(qt.QFileDialog.getOpenFileName(self._parent, _("Python interpreter, 3.11 or later")) or "")

    def _choose(self, which: str) -> None:
        interpreters.choose(which)
        self._changed()

    def _on_removed(self, _nothing: Any) -> None:
        self._changed()
        self._runs.say(_("The Python of TuckerSeg's own was removed"))

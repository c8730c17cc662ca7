"""The frame that says what is missing before anything can be segmented, and installs it."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import TuckerSegError

from ...choices.state import State
from ...environment import builds, interpreters, making, packages
from ...environment.interpreters import Need
from ...environment.making import Plan
from ...environment.places import Places
from ...logic import TuckerSegLogic
from ...runs.run import Steps
from ..run_panel import RunPanel


class PackagesPanel:
    """`installed` is called when something was or may have been installed."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, runs: RunPanel, installed: Callable[[], None]) -> None:
        self._ui, self._logic, self._runs = ui, logic, runs
        self._installed = installed
        self.need: Need | None = None
        self._installing = False
        ui.installButton.connect("clicked(bool)", self._on_install)

    def look(self) -> None:
        """Finds out what is missing now, and has the chosen Python run the worker."""
        self.need = interpreters.need()
        self._logic.use_chosen_python()

    def show(self, state: State) -> None:
        self._ui.packagesFrame.visible = state.need is not None
        self._ui.installButton.enabled = not self._installing and not state.busy
        if state.need:
            self._ui.packagesLabel.text = state.need.line
            self._ui.packagesLabel.toolTip = state.need.sentence
            self._ui.installButton.visible = state.need.can_install

    def make(self, plan: Plan) -> None:
        """Makes the Python of TuckerSeg's own, if the user agrees."""
        interpreters.choose(interpreters.OWN)
        self.look()
        self._make(plan, _sentence(plan))

    def end_worker(self) -> None:
        """Nothing may run in what is being changed."""
        self._logic.close()

    def _on_install(self, _checked: bool = False) -> None:
        if interpreters.chosen() == interpreters.OWN:
            plan = Plan(builds.fitting())
            self._make(plan, _sentence(plan))
        else:
            self._install_into_slicer()

    def _make(self, plan: Plan, sentence: str) -> None:
        if not self._logic.busy and slicer.util.confirmOkCancelDisplay(sentence, _("TuckerSeg")):
            self.end_worker()
            self._runs.start(self._looked_at(making.make(Places.of_user(), plan)), None, self._on_made)

    def _looked_at(self, steps: Steps) -> Steps:
        """However it ends, what is missing then is found out."""
        try:
            return (yield from steps)
        finally:
            self.need = interpreters.need()

    def _on_made(self, told: dict[str, Any]) -> None:
        text = _("Installed: Python {python}, PyTorch {torch}").format(python=told["python"], torch=told["torch"])
        self._installed()
        self._runs.say(text)

    def _install_into_slicer(self) -> None:
        """While pip runs, the application processes events, and with them clicks on this very button."""
        missing = packages.missing()
        if self._installing or not _agreed(missing):
            return
        self._installing = True
        self._ui.installButton.enabled = False
        try:
            with slicer.util.WaitCursor():
                packages.install(missing)
        except TuckerSegError as error:
            self._runs.report(error)
        finally:
            self._installing = False
            self._ui.installButton.enabled = True
        self._installed()


def _sentence(plan: Plan) -> str:
    """What is asked before anything is downloaded."""
    text = _(
        "TuckerSeg gets a Python of its own with PyTorch for this computer's {build} and what else segmenting needs: "
        "{size}, in {folder}. 3D Slicer's Python and other extensions stay as they are."
    ).format(build=plan.build.title, size=plan.build.gigabytes, folder=Places.of_user().root)
    if plan.wheels:
        return text + "\n\n" + _("Everything is taken from {folder}. Install it now?").format(folder=plan.wheels)
    return (
        text
        + "\n\n"
        + _(
            "Download it now, from the Python Package Index and PyTorch's pages? 3D Slicer stays usable meanwhile, and "
            "you can cancel: what was downloaded by then is not downloaded again. It is removed below Advanced."
        )
    )


def _agreed(missing: list[packages.Package]) -> bool:
    question = (
        packages.describe(missing)
        + "\n\n"
        + _(
            "Install them into 3D Slicer's Python now? This downloads from the internet and takes several minutes. "
            "What 3D Slicer brings is not replaced."
        )
    )
    details = "\n".join(f"{package.requirement}: {package.megabytes} MB" for package in missing)
    return bool(slicer.util.confirmOkCancelDisplay(question, _("TuckerSeg"), detailedText=details))

"""The frame that names missing Python packages and installs them."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import TuckerSegError

from ..choices import packages
from ..choices.state import State


class PackagesPanel:
    """`installed` is called when something was or may have been installed; `failed` is told why it was not."""

    def __init__(self, ui: Any, installed: Callable[[], None]) -> None:
        self._ui = ui
        self._installed = installed
        self.failed: Callable[[BaseException], None] = lambda _error: None
        self.missing: list[packages.Package] = []
        self._installing = False
        ui.installButton.connect("clicked(bool)", self._on_install)

    def look(self) -> None:
        """Finds out what is missing now."""
        self.missing = packages.missing()

    def show(self, state: State) -> None:
        self._ui.packagesFrame.visible = bool(state.missing)
        self._ui.installButton.enabled = not self._installing
        if state.missing:
            self._ui.packagesLabel.text = packages.summarise(state.missing)
            self._ui.packagesLabel.toolTip = packages.describe(state.missing)

    def _on_install(self, _checked: bool = False) -> None:
        """While pip runs, the application processes events, and with them clicks on this very button."""
        if self._installing or not self._agreed():
            return
        self._installing = True
        self._ui.installButton.enabled = False
        try:
            with slicer.util.WaitCursor():
                packages.install(self.missing)
        except TuckerSegError as error:
            self.failed(error)
        finally:
            self._installing = False
            self._ui.installButton.enabled = True
        self._installed()

    def _agreed(self) -> bool:
        question = (
            packages.describe(self.missing)
            + "\n\n"
            + _(
                "Install them into 3D Slicer's Python now? This downloads from the internet and takes several minutes. "
                "What 3D Slicer brings is not replaced."
            )
        )
        details = "\n".join(f"{package.requirement}: {package.megabytes} MB" for package in self.missing)
        return bool(slicer.util.confirmOkCancelDisplay(question, _("TuckerSeg"), detailedText=details))

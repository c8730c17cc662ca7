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
        ui.installButton.connect("clicked(bool)", self._on_install)

    def look(self) -> None:
        """Finds out what is missing now."""
        self.missing = packages.missing()

    def show(self, state: State) -> None:
        self._ui.packagesFrame.visible = bool(state.missing)
        if state.missing:
            self._ui.packagesLabel.text = packages.describe(state.missing)

    def _on_install(self, _checked: bool = False) -> None:
        question = (
            packages.describe(self.missing)
            + "\n\n"
            + _(
                "Install them into 3D Slicer's Python now? This downloads from the internet and takes several minutes. "
                "What 3D Slicer brings is not replaced."
            )
        )
        details = "\n".join(f"{package.requirement}: {package.megabytes} MB" for package in self.missing)
        if not slicer.util.confirmOkCancelDisplay(question, _("TuckerSeg"), detailedText=details):
            return
        try:
            with slicer.util.WaitCursor():
                packages.install(self.missing)
        except TuckerSegError as error:
            self.failed(error)
        self._installed()

"""How much room prepared networks take on the disk, and their removal."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from ...choices.state import State
from ...logic import TuckerSegLogic
from ..log import Log


class CachePanel:
    """Looks after the cache's line below *Advanced*; the worker is asked when that is opened."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, log: Log) -> None:
        self._ui, self._logic, self._log = ui, logic, log
        self._possible = False
        ui.clearCacheButton.connect("clicked(bool)", self._on_clear)
        ui.advancedCollapsibleButton.connect("contentsCollapsed(bool)", self._on_collapsed)

    def show(self, state: State) -> None:
        self._possible = not state.need
        self._ui.clearCacheButton.enabled = self._possible and not state.busy

    def _on_collapsed(self, collapsed: bool) -> None:
        if not collapsed and self._possible:
            self._logic.ask("cache_info", self._take)

    def _take(self, answer: dict[str, Any]) -> None:
        self._ui.cacheLabel.text = _("{size} MB of at most {limit} GB").format(
            size=f"{answer['size'] / 1e6:.0f}", limit=f"{answer['limit'] / 1e9:g}"
        )
        self._ui.cacheLabel.toolTip = _("Compressed networks are kept in {folder}").format(folder=answer["folder"])

    def _on_clear(self, _checked: bool = False) -> None:
        question = _(
            "Remove all compressed networks from the disk? Each level is prepared anew when it is used next, which "
            "takes from seconds to minutes."
        )
        if slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            self._logic.ask("cache_clear", self._on_cleared)

    def _on_cleared(self, answer: dict[str, Any]) -> None:
        self._logic.measurements.forget_preparations()
        self._log.add(_("The cache was cleared, which freed {size} MB").format(size=f"{answer['freed'] / 1e6:.0f}"))
        self._logic.ask("cache_info", self._take)

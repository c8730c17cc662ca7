"""A list of choices, of which this computer may not have all."""

from collections.abc import Mapping, Sequence
from typing import Any

from slicer.i18n import tr as _


class ChoiceList:
    """Looks after a QComboBox whose items' data are keys of `titles`: `first` until more is known."""

    def __init__(self, combo_box: Any, titles: Mapping[str, str], first: Sequence[str]) -> None:
        self._combo_box = combo_box
        self._titles = titles
        self._known = False
        self._fill(first)

    @property
    def key(self) -> str:
        return str(self._combo_box.itemData(self._combo_box.currentIndex) or "")

    def offer(self, keys: Sequence[str]) -> None:
        """These can be chosen here, and no others; the present choice stays, even if it cannot."""
        key = self.key
        self._known = True
        self._fill(keys)
        self.choose(key)

    def choose(self, key: str) -> None:
        """Show this one, which may come from a scene of another computer."""
        index = self._combo_box.findData(key)
        if index < 0:
            self._combo_box.addItem(self._missing(key), key)
            index = self._combo_box.findData(key)
        self._combo_box.setCurrentIndex(index)

    def _fill(self, keys: Sequence[str]) -> None:
        self._combo_box.clear()
        for key in keys:
            self._combo_box.addItem(self._titles.get(key, key), key)

    def _missing(self, key: str) -> str:
        title = self._titles.get(key, key)
        return _("{name} (not on this computer)").format(name=title) if self._known else title

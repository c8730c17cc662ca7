"""The list of models, which can be searched by typing any part of a name."""

from collections.abc import Sequence
from typing import Any

import qt

from ...choices.models import Model, model_of


class ModelList:
    """Looks after an editable QComboBox whose items' data are the models' keys."""

    def __init__(self, combo_box: Any) -> None:
        self._combo_box = combo_box
        completer = combo_box.completer()
        completer.setCompletionMode(qt.QCompleter.PopupCompletion)
        completer.setFilterMode(qt.Qt.MatchContains)
        completer.setCaseSensitivity(qt.Qt.CaseInsensitive)
        combo_box.lineEdit().connect("editingFinished()", self._complete)

    @property
    def key(self) -> str:
        return str(self._combo_box.itemData(self._combo_box.currentIndex) or "")

    def fill(self, models: Sequence[Model]) -> None:
        """Offer these; the present choice stays."""
        key = self.key
        was_blocked = self._combo_box.blockSignals(True)
        self._combo_box.clear()
        for model in models:
            self._add(model)
        self._combo_box.blockSignals(was_blocked)
        if key:
            self.choose(key)

    def choose(self, key: str) -> None:
        """Show this model, listing it if need be; tells nobody."""
        was_blocked = self._combo_box.blockSignals(True)
        index = self._combo_box.findData(key)
        if index < 0:
            self._add(model_of(key))
            index = self._combo_box.findData(key)
        self._combo_box.setCurrentIndex(index)
        self._show_text(self._combo_box.itemText(index))
        self._combo_box.toolTip = self._combo_box.itemData(index, qt.Qt.ToolTipRole)
        self._combo_box.blockSignals(was_blocked)

    def _add(self, model: Model) -> None:
        self._combo_box.addItem(model.title, model.key)
        self._combo_box.setItemData(self._combo_box.count - 1, model.hint, qt.Qt.ToolTipRole)

    def _complete(self) -> None:
        """Typed text becomes the first model that holds it, or the present one again."""
        combo_box = self._combo_box
        text = combo_box.currentText
        titles = [combo_box.itemText(index) for index in range(combo_box.count)]
        matching = [index for index, title in enumerate(titles) if text.strip().lower() in title.lower()]
        exact = [index for index in matching if titles[index] == text]
        index = (exact or matching or [combo_box.currentIndex])[0] if text.strip() else combo_box.currentIndex
        combo_box.setCurrentIndex(index)
        self._show_text(titles[index] if 0 <= index < len(titles) else "")

    def _show_text(self, text: str) -> None:
        """From its beginning, where it is too long."""
        self._combo_box.lineEdit().text = text
        self._combo_box.lineEdit().cursorPosition = 0

"""The list of a model's structures, of which the ticked ones are kept; none ticked keeps all."""

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _


class StructureList:
    """Looks after a QListWidget, the box that searches it, and the label that sums it up."""

    def __init__(self, list_widget: Any, search_box: Any, summary: Any, changed: Callable[[], None]) -> None:
        self._list = list_widget
        self._summary = summary
        self._changed = changed
        self._filling = False
        self._names: list[str] = []
        self._list.connect("itemChanged(QListWidgetItem*)", self._on_item_changed)
        search_box.connect("textChanged(QString)", self._filter)

    @property
    def ticked(self) -> list[str]:
        return [name for name, item in zip(self._names, self._items(), strict=True) if _is_ticked(item)]

    def fill(self, names: Sequence[str], ticked: Sequence[str]) -> None:
        """Show these structures; those ticked that the model does not have are ignored."""
        self._filling = True
        if list(names) != self._names:
            self._list.clear()
            for name in names:
                self._list.addItem(name)
            self._names = list(names)
        for name, item in zip(self._names, self._items(), strict=True):
            item.setCheckState(qt.Qt.Checked if name in ticked else qt.Qt.Unchecked)
        self._filling = False
        self._sum_up()

    def clear_ticks(self) -> None:
        self.fill(self._names, [])
        self._changed()

    def _items(self) -> list[Any]:
        return [self._list.item(row) for row in range(len(self._names))]

    def _on_item_changed(self, _item: Any) -> None:
        if not self._filling:
            self._sum_up()
            self._changed()

    def _filter(self, text: str) -> None:
        wanted = text.strip().lower().replace(" ", "_")
        for name, item in zip(self._names, self._items(), strict=True):
            item.setHidden(wanted not in name.lower())

    def _sum_up(self) -> None:
        count = len(self.ticked)
        if not self._names:
            self._summary.text = _("All structures (their names are known once the model was opened)")
        elif count:
            self._summary.text = _("{count} of {total} structures are kept").format(count=count, total=len(self._names))
        else:
            self._summary.text = _("All {total} structures are kept").format(total=len(self._names))


def _is_ticked(item: Any) -> bool:
    return bool(item.checkState() == qt.Qt.Checked)

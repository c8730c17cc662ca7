"""The model, chosen from a list or browsed for, and further ones for the same run."""

from functools import partial
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from TuckerSegLib.models.dataset import SUFFIX

from ..choices import models, tasks
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..logic import TuckerSegLogic
from .lists.model_list import ModelList


class ModelPanel:
    """Looks after the list of models and the menu beside it; `parent` is where the dialogs belong."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, choices: SceneChoices, parent: Any) -> None:
        self._ui, self._logic, self._choices, self._parent = ui, logic, choices, parent
        self._asked = False
        self._list = ModelList(ui.modelSelector)
        ui.modelSelector.connect("currentIndexChanged(int)", self._on_model)
        self.menu = qt.QMenu(ui.browseButton)
        self.further = qt.QMenu(_("Segment with further models"), ui.browseButton)
        self.menu.addMenu(self.further)
        self.further.connect("aboutToShow()", self._offer_further)
        self.menu.addSeparator()
        self.menu.addAction(_("Trained nnU-Net folder…")).connect("triggered()", self.browse_folder)
        self.menu.addAction(_("Compressed model (.tuckerseg)…")).connect("triggered()", self.browse_file)
        ui.browseButton.setMenu(self.menu)
        self.fill()

    def fill(self) -> None:
        """Lists what there is now."""
        self._list.fill(models.offered_models())

    def ask(self) -> None:
        """TotalSegmentator's tasks, and which of them are here, are known to the worker."""
        if not self._asked:
            self._asked = True
            self._logic.ask("tasks", self.take)

    def forget(self) -> None:
        """There may be other weights, or another worker."""
        self._asked = False

    def take(self, answer: dict[str, Any]) -> None:
        """What the worker answered."""
        tasks.take(answer)
        self.fill()
        self._choices.tell()

    def show(self, state: State) -> None:
        self._list.choose(state.chosen.model)
        titles = ", ".join(models.model_of(key).title for key in state.chosen.also)
        self._ui.alsoLabel.text = _("and {models}").format(models=titles) if titles else ""
        self._ui.alsoLabel.visible = bool(titles)

    def browse_folder(self) -> None:
        title = _("Folder of a trained nnU-Net (the one with plans.json)")
        self._use(qt.QFileDialog.getExistingDirectory(self._parent, title))

    def browse_file(self) -> None:
        kinds = _("Compressed models") + f" (*{SUFFIX})"
        self._use(qt.QFileDialog.getOpenFileName(self._parent, _("Compressed model"), "", kinds))

    def _offer_further(self) -> None:
        """What is on this computer, ticked where it is chosen."""
        self.further.clear()
        chosen = self._choices.chosen
        for model in models.installed_models():
            if model.key != chosen.model:
                action = self.further.addAction(model.title)
                action.setCheckable(True)
                action.setChecked(model.key in chosen.also)
                action.connect("toggled(bool)", partial(self._choose_further, model.key))

    def _choose_further(self, key: str, on: bool) -> None:
        """Folds are those of one model, and the list of structures is another one."""
        others = self._further_but(key)
        self._choices.choose(also=(*others, key) if on else others, structures=(), folds=())

    def _further_but(self, key: str) -> tuple[str, ...]:
        return tuple(one for one in self._choices.chosen.also if one != key)

    def _on_model(self, _index: int) -> None:
        if self._list.key:
            self._choose(self._list.key)

    def _use(self, path: str) -> None:
        if path:
            key = models.remember(Path(path)).key
            self.fill()
            self._choose(key)

    def _choose(self, key: str) -> None:
        """Structures and folds are those of another model, and so is the chart."""
        self._choices.choose(model=key, also=self._further_but(key), structures=(), folds=())

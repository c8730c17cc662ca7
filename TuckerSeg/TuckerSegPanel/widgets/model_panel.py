"""The model, chosen from a list or browsed for."""

from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from TuckerSegLib.models.dataset import SUFFIX

from ..choices import models
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from .lists.model_list import ModelList


class ModelPanel:
    """Looks after the list of models and the menu beside it; `parent` is where the dialogs belong."""

    def __init__(self, ui: Any, choices: SceneChoices, parent: Any) -> None:
        self._choices, self._parent = choices, parent
        self._list = ModelList(ui.modelSelector)
        self.fill()
        ui.modelSelector.connect("currentIndexChanged(int)", self._on_model)
        self.menu = qt.QMenu(ui.browseButton)
        self.menu.addAction(_("Trained nnU-Net folder…")).connect("triggered()", self.browse_folder)
        self.menu.addAction(_("Compressed model (.tuckerseg)…")).connect("triggered()", self.browse_file)
        ui.browseButton.setMenu(self.menu)

    def fill(self) -> None:
        """Lists what there is now."""
        self._list.fill(models.offered_models())

    def show(self, state: State) -> None:
        self._list.choose(state.chosen.model)

    def browse_folder(self) -> None:
        title = _("Folder of a trained nnU-Net (the one with plans.json)")
        self._use(qt.QFileDialog.getExistingDirectory(self._parent, title))

    def browse_file(self) -> None:
        kinds = _("Compressed models") + f" (*{SUFFIX})"
        self._use(qt.QFileDialog.getOpenFileName(self._parent, _("Compressed model"), "", kinds))

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
        self._choices.choose(model=key, structures=(), folds=())

"""Which structures are kept, what they are called, and whether their stray parts are."""

from typing import Any

from ..choices import models, presets
from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from .lists.choice_list import ChoiceList
from .lists.structure_list import StructureList


class StructuresPanel:
    """Looks after the section *Structures*: sets of them, and the list in which each can be ticked."""

    def __init__(self, ui: Any, choices: SceneChoices) -> None:
        self._ui, self._choices = ui, choices
        ui.structuresCollapsibleButton.collapsed = True
        self._presets = ChoiceList(ui.presetSelector, presets.titles(), [presets.ALL])
        self._list = StructureList(
            ui.structuresList, ui.structuresSearchBox, ui.structuresSummaryLabel, self._on_ticked
        )
        ui.presetSelector.connect("activated(int)", self._on_preset)
        ui.allStructuresButton.connect("clicked(bool)", lambda _checked=False: self._list.clear_ticks())
        ui.standardNamesCheckBox.connect("toggled(bool)", lambda on: choices.choose(standard_names=on))
        ui.smallPartsCheckBox.connect("toggled(bool)", lambda on: choices.choose(remove_small_blobs=on))

    def show(self, state: State) -> None:
        chosen = state.chosen
        names = models.structures_of_all(chosen.models)
        self._presets.offer(presets.offered(names))
        self._presets.choose(presets.preset_of(chosen.structures, names))
        self._list.fill(names, chosen.structures)
        self._ui.standardNamesCheckBox.checked = chosen.standard_names
        self._ui.smallPartsCheckBox.checked = chosen.remove_small_blobs

    def _on_ticked(self) -> None:
        self._choices.choose(structures=self._list.ticked)

    def _on_preset(self, _index: int) -> None:
        """*Custom* is what the list says: choosing it changes nothing."""
        if self._presets.key != presets.CUSTOM:
            names = models.structures_of_all(self._choices.chosen.models)
            self._choices.choose(structures=presets.structures_of(self._presets.key, names))

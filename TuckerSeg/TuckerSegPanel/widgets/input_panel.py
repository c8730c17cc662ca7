"""The input volume, the sample for those who have none, and the segmentation that receives the result."""

from typing import Any

from slicer.i18n import tr as _

from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..runs.phantom import make_phantom
from ..scene import ownership, views
from .run_panel import RunPanel


class InputPanel:
    """Looks after the selectors of both nodes, the sample's button."""

    def __init__(self, ui: Any, choices: SceneChoices, runs: RunPanel) -> None:
        self._ui, self._choices, self._runs = ui, choices, runs
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_input)
        ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: choices.choose(segmentation=node))
        ui.sampleButton.connect("clicked(bool)", self._on_sample)

    def show(self, state: State) -> None:
        chosen = state.chosen
        self._ui.inputSelector.setCurrentNode(chosen.volume)
        self._ui.outputSelector.setCurrentNode(chosen.segmentation)
        self._ui.sampleButton.visible = chosen.volume is None
        self._ui.sampleButton.enabled = not state.busy

    def _on_input(self, node: Any) -> None:
        """Results of another volume must not be overwritten because they were chosen for that one."""
        if self._choices.parameters is None:
            return
        chosen = self._choices.chosen
        self._choices.choose(
            volume=node,
            segmentation=ownership.own_sequence(chosen.segmentation, node),
            comparison=ownership.own_table(chosen.comparison, node),
            statistics=ownership.own_table(chosen.statistics, node),
        )

    def _on_sample(self, _checked: bool = False) -> None:
        self._runs.start(make_phantom(), None, self._on_phantom)

    def _on_phantom(self, node: Any) -> None:
        self._choices.choose(volume=node)
        views.show_volume(node)
        self._runs.say(_("{name} is ready: press Segment").format(name=node.GetName()))

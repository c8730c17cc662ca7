"""The module's panel: puts its parts together, follows the scene, and shows every part anew when something changes."""

from typing import Any

import slicer
from slicer.util import VTKObservationMixin

from ..choices.scene_choices import SceneChoices
from ..choices.state import State
from ..logic import TuckerSegLogic
from .advanced_panel import AdvancedPanel
from .computer.cache_panel import CachePanel
from .computer.packages_panel import PackagesPanel
from .computer.python_panel import PythonPanel
from .computer.weights_panel import WeightsPanel
from .input_panel import InputPanel
from .levels.comparing_panel import ComparingPanel
from .levels.improving_panel import ImprovingPanel
from .levels.level_panel import LevelPanel
from .log import Log
from .model_panel import ModelPanel
from .result_panel import ResultPanel
from .run_panel import RunPanel
from .segmenting_panel import SegmentingPanel
from .structures_panel import StructuresPanel


class Panel(VTKObservationMixin):
    """`ui` are the widgets of the panel by name, `parent` is where its dialogs belong."""

    def __init__(self, ui: Any, logic: TuckerSegLogic, parent: Any) -> None:
        VTKObservationMixin.__init__(self)
        self._logic = logic
        self._entered = False
        self.choices = SceneChoices(self.refresh)
        self.log = Log(ui.logText)
        ui.logCollapsibleButton.collapsed = True
        self.runs = RunPanel(ui, logic, self.log, self.refresh)
        self.packages = PackagesPanel(ui, logic, self.runs, self._reopen)
        self.python = PythonPanel(ui, self.packages, self.runs, self._reopen, parent)
        self.model = ModelPanel(ui, logic, self.choices, parent)
        self.level = LevelPanel(ui, logic, self.choices)
        self.input = InputPanel(ui, self.choices, self.runs)
        self.weights = WeightsPanel(self.model.menu, logic, self.choices, self.runs, self._weights_changed, parent)
        self.segmenting = SegmentingPanel(logic, self.choices, self.runs, self.weights.offer)
        self.runs.begin = self.segmenting.begin
        self.runs.offer_weights = self.weights.offer_missing
        self.result = ResultPanel(ui, self.choices, self.runs)
        self.comparing = ComparingPanel(ui, logic, self.choices, self.runs)
        self.improving = ImprovingPanel(ui, logic, self.choices, self.runs, self.level.forget)
        self.structures = StructuresPanel(ui, self.choices)
        self.advanced = AdvancedPanel(ui, logic, self.choices)
        self.cache = CachePanel(ui, logic, self.log)
        self._parts = (
            self.packages,
            self.python,
            self.input,
            self.model,
            self.level,
            self.runs,
            self.result,
            self.comparing,
            self.improving,
            self.structures,
            self.advanced,
            self.cache,
            self.weights,
        )
        self._follow_scene()

    def enter(self) -> None:
        """The user opened the module."""
        self._entered = True
        self._follow_node()
        self.packages.look()
        self.model.fill()
        self.refresh()
        self._ask()

    def exit(self) -> None:
        """The user went to another module."""
        self._entered = False

    def close(self) -> None:
        """The module is reloaded, or the application ends."""
        self.removeObservers()
        self.choices.follow(None)

    def refresh(self) -> None:
        """Shows what is chosen and what can be done now."""
        with self.choices.shown() as possible:
            if not possible:
                return
            state = State(self.choices.chosen, self._logic.busy, self.packages.need)
            for part in self._parts:
                part.show(state)
        self._ask()

    def _ask(self) -> None:
        """What only the worker knows, which has PyTorch: what levels save, what this computer has."""
        if self._entered and self.packages.need is None and self.choices.parameters is not None:
            self.level.ask()
            self.advanced.ask()
            self.model.ask()

    def _reopen(self) -> None:
        """Another Python may run the worker now, which knows other things."""
        self.advanced.forget()
        self.model.forget()
        if self._entered:
            self.enter()

    def _weights_changed(self) -> None:
        self.model.forget()
        self.level.forget(self.choices.chosen.model)
        self.refresh()

    def _follow_scene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_end_close)
        self.addObserver(scene, scene.EndImportEvent, self._on_end_import)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self._follow_node()

    def _follow_node(self) -> None:
        self.choices.follow(self._logic.getParameterNode())
        self._choose_a_volume()

    def _choose_a_volume(self) -> None:
        if self.choices.chosen.volume is None:
            self.choices.choose(volume=first_volume())

    def _on_start_close(self, _caller: Any, _event: Any) -> None:
        self._logic.cancel()
        self.choices.follow(None)

    def _on_end_close(self, _caller: Any, _event: Any) -> None:
        if self._entered:
            self._follow_node()

    def _on_end_import(self, _caller: Any, _event: Any) -> None:
        if self.choices.parameters is not None:
            self._follow_node()

    def _on_node_added(self, _caller: Any, _event: Any) -> None:
        """A volume that is loaded while none is chosen is the one that the user means."""
        scene = slicer.mrmlScene
        if self._entered and self.choices.parameters is not None and not scene.IsImporting():
            self._choose_a_volume()


def first_volume() -> Any:
    """The first grey volume of the scene that users see; None where there is none."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    grey = (node for node in nodes if node.GetClassName() == "vtkMRMLScalarVolumeNode")
    return next((node for node in grey if not node.GetHideFromEditors()), None)

"""The scene's parameter node, followed: what is chosen, who changes it, and whom that is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from TuckerSegLib.segmentation.request import Request

from . import models
from .parameters import Parameters


class SceneChoices(VTKObservationMixin):
    """`changed` is called whenever another node is followed, a choice is made, or the chosen volume gets its voxels."""

    def __init__(self, changed: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self.parameters: Parameters | None = None
        self._changed = changed
        self._volume: Any = None
        self._shown = False

    @property
    def chosen(self) -> Parameters:
        """The parameters, which are followed whenever the panel can be used."""
        assert self.parameters is not None
        return self.parameters

    @property
    def request(self) -> Request:
        return self.chosen.request(models.structures_of_all(self.chosen.models))

    def is_chosen(self, volume: Any) -> bool:
        """Whether this is the input volume."""
        return self.parameters is not None and self.parameters.volume is volume

    def tell(self) -> None:
        """Something was found out about what is chosen."""
        self._changed()

    def follow(self, node: Any) -> None:
        """From now on the choices are those of this node, or of none."""
        self.removeObservers()
        self._volume = None
        self.parameters = Parameters(node) if node else None
        if node:
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)
        self._on_modified()

    def choose(self, **choices: Any) -> None:
        """Change these parameters; ignored while the panel shows them, which sets its controls."""
        if self.parameters is None or self._shown:
            return
        was_modifying = self.parameters.node.StartModify()
        for name, value in choices.items():
            setattr(self.parameters, name, value)
        self.parameters.node.EndModify(was_modifying)

    @contextmanager
    def shown(self) -> Iterator[bool]:
        """While the panel sets its controls, they choose nothing; False where it is at that already."""
        if self.parameters is None or self._shown:
            yield False
            return
        self._shown = True
        try:
            yield True
        finally:
            self._shown = False

    def _on_modified(self, _caller: Any = None, _event: Any = None) -> None:
        self._follow_volume()
        self._changed()

    def _follow_volume(self) -> None:
        volume = self.parameters.volume if self.parameters else None
        if volume is self._volume:
            return
        event = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        if self._volume is not None:
            self.removeObserver(self._volume, event, self._on_voxels)
        if volume is not None:
            self.addObserver(volume, event, self._on_voxels)
        self._volume = volume

    def _on_voxels(self, _caller: Any, _event: Any) -> None:
        self._changed()

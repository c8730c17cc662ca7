"""What every part of the panel is shown: the choices, and what can be done with them now."""

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from TuckerSegLib.models.dataset import is_compressed

from ..environment.interpreters import Need
from .parameters import Parameters


@dataclass(frozen=True)
class State:
    """`busy` is whether a run goes on, `need` is what is missing before anything can."""

    chosen: Parameters
    busy: bool
    need: Need | None

    @property
    def obstacle(self) -> str:
        """Why nothing can be segmented, in words; empty where it can."""
        if self.need:
            return _("Install what is missing first") if self.need.can_install else self.need.sentence
        volume = self.chosen.volume
        if volume is None:
            return _("Choose an input volume first")
        if not has_voxels(volume):
            return _("{name} has no voxels: load it again or choose another volume").format(name=volume.GetName())
        return ""

    @property
    def can_start(self) -> bool:
        return not self.busy and not self.obstacle

    @property
    def compressed(self) -> bool:
        """Whether the model is a compressed file, which has one level."""
        return is_compressed(self.chosen.model)


def has_voxels(volume: Any) -> bool:
    image = volume.GetImageData()
    return image is not None and image.GetNumberOfPoints() > 0

"""Whether the chosen volume looks like what the chosen model was made for."""

from functools import cache
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.models import dataset
from TuckerSegLib.volumes import modality

from . import tasks


def doubt(volume: Any, model: str) -> str:
    """A question for the user where an MR seems to be given to a model for CT, or the other way round; else empty."""
    wanted = _wanted(model)
    found = modality.guessed(slicer.util.arrayFromVolume(volume)) if wanted else None
    if found is None or found == wanted:
        return ""
    return _(
        "{volume} looks like {found}, by the range of its values, but the model was made for {wanted}: the result may "
        "be wrong. Segment it all the same?"
    ).format(volume=volume.GetName(), found=found, wanted=wanted)


def _wanted(model: str) -> str | None:
    task = next((task for task in tasks.known() if task.name == model), None)
    return task.modality if task else _of_files(model)


@cache
def _of_files(model: str) -> str | None:
    return dataset.modality_of(model)

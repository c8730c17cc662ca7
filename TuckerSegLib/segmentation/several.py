"""Several models over one volume, and one segmentation of all that they find."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..inference.shared_images import shared_images
from ..models.dataset import structures_of
from ..progress import Progress, seconds_together
from ..volumes import structures
from ..volumes.volume import LabelMap, Volume
from .request import Request
from .result import Segmentation

Check = Callable[[Request], object]

Segment = Callable[[Volume, Request, Progress | None], Segmentation]


def segment_several(
    segment: Segment, check: Check, volume: Volume, request: Request, progress: Progress
) -> Segmentation:
    """Segment `volume` by the request's model and by those that it asks for besides, one after the other.

    What a later model finds is drawn over what the earlier ones found. A structure that two of them name alike goes by
    its name and its model's, such as "liver (total-fast)". Of the settings those of the last model are told.

    Args:
        segment, check: does so by one model, and raises what can be wrong with one before the run.

    Raises:
        InputError: a structure is none of any of them, or folds were chosen, which are one model's.
        TuckerSegError: as `segment`.
    """
    requests = requests_of(request)
    progress.stage("load")
    for one in requests:
        check(one)
    with shared_images():
        found = [segment(volume, one, progress.part(number, len(requests))) for number, one in enumerate(requests)]
    names = [one.model for one in found]
    if len(set(names)) < len(names):  # folders of one data set
        names = [one.model for one in requests]
    return replace(
        found[-1],
        label_map=together([one.label_map for one in found], names),
        model=" + ".join(names),
        seconds=seconds_together(*(one.seconds for one in found)),
        cache_hit=all(one.cache_hit for one in found),
        engine=" + ".join(dict.fromkeys(one.engine for one in found)),
        peak_memory=max(one.peak_memory for one in found),
        checks={name: check for one in found for name, check in one.checks.items()},
        warnings=list(dict.fromkeys(warning for one in found for warning in one.warnings)),
    )


def together(label_maps: Sequence[LabelMap], models: Sequence[str]) -> LabelMap:
    """All structures of label maps on one grid, numbered from 1 in their order; later ones are drawn over earlier ones.

    Args:
        models: what made each label map, to tell structures of one name apart.
    """
    counted = Counter(name for label_map in label_maps for name in label_map.names.values())
    labels = np.zeros(label_maps[0].labels.shape, np.uint16)
    names: dict[int, str] = {}
    for label_map, model in zip(label_maps, models, strict=True):
        table = np.zeros(max(int(label_map.labels.max(initial=0)), *label_map.names, 0) + 1, np.uint16)
        for label, name in sorted(label_map.names.items()):
            table[label] = len(names) + 1
            names[len(names) + 1] = name if counted[name] == 1 else f"{name} ({model})"
        numbered = table[label_map.labels]
        np.copyto(labels, numbered, where=numbered != 0)
    return LabelMap(labels, label_maps[0].geometry, names)


def requests_of(request: Request) -> list[Request]:
    """One for each model that is to find any of the structures that are wanted.

    Raises:
        InputError: as `segment_several`.
    """
    if request.folds:
        raise InputError("Folds are those of one model: leave the choice of folds out, or the other models.")
    models = list(dict.fromkeys([request.model, *request.also]))
    if not request.structures:
        return [replace(request, model=model, also=()) for model in models]
    known = {model: structures_of(model) for model in models}
    structures.check([name for names in known.values() for name in names], request.structures)
    wanted = {model: tuple(name for name in request.structures if name in names) for model, names in known.items()}
    return [replace(request, model=model, also=(), structures=names) for model, names in wanted.items() if names]

"""The models that the panel offers, those on this computer first; found without PyTorch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from slicer.i18n import tr as _

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models import dataset, installed
from TuckerSegLib.models.sample import SAMPLE, SMALL_SAMPLE

from . import browsed, tasks
from .tasks import Task


@dataclass(frozen=True)
class Model:
    """One entry of the list: `key` is what the worker opens, `title` and `hint` are for the user."""

    key: str
    title: str
    hint: str


def offered_models() -> list[Model]:
    """What can be used at once, then the tasks of TotalSegmentator whose weights can be downloaded."""
    return [*installed_models(), *(_to_download(task) for task in tasks.known() if not task.installed)]


def installed_models() -> list[Model]:
    """The sample, TotalSegmentator's tasks that are here, what the user browsed for, and trained folders."""
    found = installed.installed()
    sample = Model(
        SAMPLE,
        _("Sample: torso CT"),
        _("A network for trying out, trained on phantoms; it comes with TuckerSeg and needs no download."),
    )
    small = Model(
        SMALL_SAMPLE,
        _("Small sample: torso CT"),
        _("As the sample, with a twelfth of its parameters: for a first try on a slow computer."),
    )
    here = [_of_task(task) for task in tasks.known() if task.installed]
    folders = [_at(folder) for key, folder in found.items() if key == str(folder)]
    return _without_repetition([sample, small, *here, *_browsed(), *folders])


def model_of(key: str) -> Model:
    """The entry for a key, be it on this computer or not."""
    return next((model for model in offered_models() if model.key == key), None) or _missing(key)


def task_to_download(key: str) -> Task | None:
    """The task of that name if its weights are not on this computer; None for any other model."""
    return next((task for task in tasks.known() if task.name == key and not task.installed), None)


def installed_task(key: str) -> Task | None:
    """The task of that name if its weights are on this computer; None for any other model."""
    return next((task for task in tasks.known() if task.name == key and task.installed), None)


def is_task(key: str) -> bool:
    """Whether this is a task of TotalSegmentator."""
    return any(task.name == key for task in tasks.known())


def remember(path: Path) -> Model:
    """Puts a folder or file that the user chose first among those browsed for."""
    _structures_in.cache_clear()
    browsed.remember(path)
    return _at(path)


def structures_of(key: str) -> list[str]:
    """The structures of a task, or of a model's folder or file, in label order; none where they are not known yet."""
    task = next((task for task in tasks.known() if task.name == key), None)
    return list(task.structures) if task else _structures_in(key)


def structures_of_all(keys: Iterable[str]) -> list[str]:
    """The structures of several models, each name once; none where those of one are not known yet."""
    every = [structures_of(key) for key in keys]
    return list(dict.fromkeys(name for names in every for name in names)) if all(every) else []


@cache
def _structures_in(key: str) -> list[str]:
    try:
        return dataset.structures_of(key)
    except ModelError:
        return []


def _of_task(task: Task) -> Model:
    size = _("at its own resolution") if task.spacing is None else f"{task.spacing:g} mm"
    hint = _("TotalSegmentator: {modality}, {count} structures, {size}, {networks} networks").format(
        modality=task.modality, count=len(task.structures), size=size, networks=task.networks
    )
    return Model(task.name, f"{task.name} (TotalSegmentator)", hint)


def _to_download(task: Task) -> Model:
    model = _of_task(task)
    title = _("{name} (to be downloaded)").format(name=task.name)
    return Model(model.key, title, _("{hint}; you are asked before anything is downloaded").format(hint=model.hint))


def _without_repetition(found: list[Model]) -> list[Model]:
    return list({model.key: model for model in reversed(found)}.values())[::-1]


def _missing(key: str) -> Model:
    title = _("{name} (not on this computer)").format(name=Path(key).name or key)
    return Model(key, title, _("The scene names a model that is not here: choose another one, or browse for it."))


def _browsed() -> Iterator[Model]:
    for path in browsed.remembered():
        if path.is_file() or (path / "plans.json").is_file():
            yield _at(path)


def _at(path: Path) -> Model:
    if dataset.is_compressed(path):
        return Model(str(path), _("{name} (compressed)").format(name=path.stem), str(path))
    return Model(str(path), _title(path), str(path))


def _title(folder: Path) -> str:
    """`TotalSegmentator total 3mm (3d_fullres)` from `Dataset297_TotalSegmentator_total_3mm/..._3d_fullres`."""
    number, _separator, rest = folder.parent.name.partition("_")
    named = rest.replace("_", " ") if number.startswith("Dataset") and rest else folder.parent.name
    configuration = folder.name.rpartition("__")[2]
    return f"{named} ({configuration})" if configuration != folder.name else f"{named} {folder.name}"

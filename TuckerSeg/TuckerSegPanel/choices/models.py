"""The models that the panel offers, those on this computer first; found without PyTorch."""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

import TuckerSegLib
from TuckerSegLib.errors import TuckerSegError

from . import settings

if TYPE_CHECKING:
    from TuckerSegLib.models.totalsegmentator.tasks import Task

SAMPLE = "sample"

SUFFIX = ".tuckerseg"

SETTING = "TuckerSeg/Models"

_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Model:
    """One entry of the list: `key` is what the worker opens, `title` and `hint` are for the user."""

    key: str
    title: str
    hint: str


def offered_models() -> list[Model]:
    """What can be used at once, then the tasks of TotalSegmentator whose weights can be downloaded."""
    return [*installed_models(), *(_to_download(task) for task in _tasks() if not _is_installed(task))]


def installed_models() -> list[Model]:
    """The sample, TotalSegmentator's tasks that are here, what the user browsed for, and TotalSegmentator's folders."""
    sample = Model(
        SAMPLE,
        _("Sample: torso CT"),
        _("A small network for trying out, trained on phantoms; it comes with TuckerSeg and needs no download."),
    )
    tasks = [_of_task(task) for task in _tasks() if _is_installed(task)]
    return _without_repetition([sample, *tasks, *_browsed(), *_total_segmentator()])


def model_of(key: str) -> Model:
    """The entry for a key, be it on this computer or not."""
    return next((model for model in offered_models() if model.key == key), None) or _missing(key)


def task_to_download(key: str) -> "Task | None":
    """The task of that name if its weights are not on this computer; None for any other model."""
    found = next((task for task in _tasks() if task.name == key), None)
    return found if found is not None and not _is_installed(found) else None


def remember(path: Path) -> Model:
    """Puts a folder or file that the user chose first among those browsed for."""
    key = str(path)
    structures_of.cache_clear()
    settings.write(SETTING, json.dumps([key, *(known for known in _remembered() if known != key)]))
    return _at(path)


@cache
def structures_of(key: str) -> list[str]:
    """The structures of a model's folder or file in label order; none where they are not known yet."""
    task = next((known for known in _tasks() if known.name == key), None)
    if task is not None:
        return list(task.found.values())
    try:
        dataset = _dataset(_sample_folder() if key == SAMPLE else Path(key))
    except (OSError, ValueError, KeyError, struct.error):
        return []
    labels = {name: _last(label) for name, label in dataset.get("labels", {}).items()}
    return sorted((name for name in labels if name not in ("background", "ignore")), key=lambda name: labels[name])


def is_compressed(key: str) -> bool:
    """Whether the model was compressed already, so that it has one level and no original."""
    return key.endswith(SUFFIX)


def _sample_folder() -> Path:
    """As TuckerSegLib.models.sample says, which needs PyTorch: in a checkout beside the library, else inside it."""
    library = Path(TuckerSegLib.__file__).resolve().parent
    folders = [root / "Resources" / "SampleModel" for root in (library.parent, library)]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


@cache
def _tasks() -> tuple["Task", ...]:
    """TotalSegmentator's, where its package is installed."""
    try:
        from TuckerSegLib.models.totalsegmentator.tasks import task, task_names

        return tuple(task(name) for name in task_names())
    except (ImportError, TuckerSegError):
        return ()


def _is_installed(task: "Task") -> bool:
    from TuckerSegLib.models.totalsegmentator.weights import is_installed

    return is_installed(task)


def _of_task(task: "Task") -> Model:
    size = _("at its own resolution") if task.spacing is None else f"{max(task.spacing):g} mm"
    hint = _("{modality}, {count} structures, {size}, {networks} networks").format(
        modality=task.modality, count=len(task.found), size=size, networks=len(task.all_networks())
    )
    return Model(task.name, f"TotalSegmentator {task.name}", hint)


def _to_download(task: "Task") -> Model:
    model = _of_task(task)
    title = _("{title} (to be downloaded)").format(title=model.title)
    return Model(model.key, title, _("{hint}; you are asked before anything is downloaded").format(hint=model.hint))


def _without_repetition(found: list[Model]) -> list[Model]:
    return list({model.key: model for model in reversed(found)}.values())[::-1]


def _missing(key: str) -> Model:
    title = _("{name} (not on this computer)").format(name=Path(key).name or key)
    return Model(key, title, _("The scene names a model that is not here: choose another one, or browse for it."))


def _browsed() -> Iterator[Model]:
    for key in _remembered():
        path = Path(key)
        if path.is_file() or (path / "plans.json").is_file():
            yield _at(path)


def _remembered() -> list[str]:
    try:
        found = json.loads(settings.read(SETTING) or "[]")
    except ValueError:
        return []
    return [str(key) for key in found] if isinstance(found, list) else []


def _at(path: Path) -> Model:
    if path.suffix == SUFFIX:
        return Model(str(path), _("{name} (compressed)").format(name=path.stem), str(path))
    return Model(str(path), _title(path), str(path))


def _title(folder: Path) -> str:
    """`TotalSegmentator total 3mm (3d_fullres)` from `Dataset297_TotalSegmentator_total_3mm/..._3d_fullres`."""
    number, _separator, rest = folder.parent.name.partition("_")
    named = rest.replace("_", " ") if number.startswith("Dataset") and rest else folder.parent.name
    configuration = folder.name.rpartition("__")[2]
    return f"{named} ({configuration})" if configuration != folder.name else f"{named} {folder.name}"


def _total_segmentator() -> Iterator[Model]:
    for plans in sorted(_weights_folder().glob("Dataset*/*/plans.json")):
        yield Model(str(plans.parent), _title(plans.parent), str(plans.parent))


def _weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights, by its own rules."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def _dataset(path: Path) -> dict[str, dict[str, int | list[int]]]:
    if path.suffix != SUFFIX:
        found = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    else:
        found = json.loads(_safetensors_header(path)["__metadata__"]["header"])["dataset"]
    if not isinstance(found, dict):
        raise ValueError("no dataset")
    return found


def _safetensors_header(path: Path) -> dict[str, dict[str, str]]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > _LONGEST_HEADER:
            raise ValueError("no safetensors file")
        header: dict[str, dict[str, str]] = json.loads(file.read(size))
    return header


def _last(label: int | list[int]) -> int:
    """A region of several labels comes where the last of them does."""
    return label if isinstance(label, int) else max(label, default=0)

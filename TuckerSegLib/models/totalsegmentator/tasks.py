"""TotalSegmentator's tasks, read from its own tables: what each finds, in what, and the networks it runs.

The tables are plain data, so this imports neither PyTorch nor nnU-Net, writes nothing and asks no server. A task with
sub-modes is listed once for each: `total`, `total-fast`, `total-fastest`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from ...errors import InputError, ModelError, suggestion

Spacing = tuple[float, float, float]

Row = Mapping[str, Any]

LICENCE_PAGE = "https://backend.totalsegmentator.com/license-academic/"
"""Where one gets a licence number: free of charge for academic use, and not for commercial use."""

_RELEASES = "https://github.com/wasserth/TotalSegmentator/releases/download"

_PLANS, _SMALL_PLANS = "nnUNetPlans", "nnUNetResEncUNetLPlans_8"

_MARGIN: Spacing = (20.0, 20.0, 20.0)

_NO_TASK = "test"

_UNRELEASED = "TODO"

_MERGED = {
    "total": ("class_map_5_parts", "map_taskid_to_partname_ct"),
    "total_v3": ("class_map_5_parts_total_v3", "map_taskid_to_partname_ct_v3"),
    "total_mr": ("class_map_parts_mr", "map_taskid_to_partname_mr"),
    "headneck_muscles": ("class_map_parts_headneck_muscles", "map_taskid_to_partname_headneck_muscles"),
}
"""For tasks of several networks: TotalSegmentator's tables of what each of them finds."""


@dataclass(frozen=True)
class Network:
    """One nnU-Net of a task: its number, its folder's names, and the folds that run (all where it is None).

    `licence_name` is what TotalSegmentator's licence server knows it by; None for those that are free. `url` is None
    for those and for networks that were never released.
    """

    number: int
    dataset: str
    trainer: str
    configuration: str
    folds: tuple[int, ...] | None
    plans: str = _PLANS
    url: str | None = None
    licence_name: str | None = None

    @property
    def released(self) -> bool:
        """Whether its weights can be downloaded at all, be it with a licence number."""
        return self.url is not None or self.licence_name is not None

    @property
    def folder(self) -> str:
        """The trained folder, below the folder of all weights."""
        return f"{self.dataset}/{self.trainer}__{self.plans}__{self.configuration}"


@dataclass(frozen=True)
class Crop:
    """Where a task looks: the box around `structures` of another task, `margin` mm wider along each voxel axis."""

    task: "Task"
    structures: tuple[str, ...]
    margin: Spacing


@dataclass(frozen=True)
class Task:
    """One task of TotalSegmentator in one of its modes.

    Attributes:
        name: what `--model` takes, such as `total-fast`.
        base: TotalSegmentator's name for it, without the mode.
        modality: "CT" or "MR".
        structures: from label to name, as in the result; the wanted ones are `found`.
        hidden: labels of the network that are removed from the result.
        spacing: millimetres along (right, anterior, superior) that its networks work at; None for the image's own.
        networks: run one after the other; where there are several, `parts` has each one's labels.
        licensed: whether TotalSegmentator asks for a licence number.
        crop: where it looks; None for the whole image.
        cascaded: the crop's structures are its second input channel.
        within: structures of the crop's task, and millimetres around them, outside which its result is cleared.
        refined_by: the task whose structures sharpen the borders of its own.
        wanted: the structures that are kept; None for all.
    """

    name: str
    base: str
    modality: str
    structures: Mapping[int, str]
    hidden: frozenset[int]
    spacing: Spacing | None
    networks: tuple[Network, ...]
    parts: Mapping[int, Mapping[int, str]]
    licensed: bool
    crop: Crop | None = None
    cascaded: bool = False
    within: tuple[tuple[str, ...], float] | None = None
    refined_by: "Task | None" = None
    wanted: frozenset[str] | None = None

    @property
    def merged(self) -> bool:
        """Whether its networks' labels are put together by name; then `parts` has them."""
        return bool(self.parts)

    @property
    def found(self) -> dict[int, str]:
        """The structures in the result, by label."""
        return {label: name for label, name in self.structures.items() if self.wanted is None or name in self.wanted}

    def only(self, wanted: Sequence[str]) -> "Task":
        """The same task for some of its structures: `total` looks where they are, with the networks that know them.

        Raises:
            InputError: the network that finds the place does not know a structure.
        """
        chosen = replace(self, wanted=frozenset(wanted))
        if not self.base.startswith("total"):
            return chosen
        networks = [n for n in self.networks if set(self.parts.get(n.number, self.structures).values()) & set(wanted)]
        crop = self.crop or _around(_finder(self.base, robust=False), tuple(chosen.found.values()), _MARGIN)
        return replace(chosen, networks=tuple(networks), crop=crop)

    def all_networks(self) -> tuple[Network, ...]:
        """Every network that a run needs, in the order they run."""
        first = self.crop.task.all_networks() if self.crop else ()
        second = self.refined_by.all_networks() if self.refined_by else ()
        return (*first, *second, *self.networks)

    def installed_with(self, network: Network) -> str:
        """The task that brings one of `all_networks`: where to look for chosen structures is another task's to find."""
        own = network in task(self.name).all_networks()
        return self.name if own or self.crop is None else self.crop.task.name


def available() -> bool:
    """Whether TotalSegmentator is installed, whose tables these are."""
    return find_spec("totalsegmentator") is not None


def task_names() -> tuple[str, ...]:
    """All names, in TotalSegmentator's order; none where it is not installed."""
    return tuple(f"{base}{suffix}" for base, suffix in _modes()) if available() else ()


def task(name: str) -> Task:
    """The task called `name`.

    Raises:
        ModelError: there is none, or TotalSegmentator is not installed.
    """
    if name not in task_names():
        advice = suggestion(name, task_names(), "tuckerseg models lists those there are.")
        raise ModelError(f"There is no task {name}: {advice}")
    base, _, mode = name.partition("-")
    return _task(base, mode)


def version() -> str:
    """TotalSegmentator's own."""
    from totalsegmentator.registry import package_version

    return str(package_version())


def _modes() -> Iterator[tuple[str, str]]:
    from totalsegmentator.map_tasks_config import TASK_CONFIGS

    for base, row in TASK_CONFIGS.items():
        if base == _NO_TASK:
            continue
        yield base, ""
        for mode in ("fast", "fastest"):
            if mode in row.get("sub_modes", {}):
                yield base, f"-{mode}"
        if base == "total_v3":
            yield base, "-small"


@cache
def _task(base: str, mode: str) -> Task:
    from totalsegmentator.map_to_binary import class_map
    from totalsegmentator.registry import task_modality

    row = _row(base, mode)
    crop = _crop(base, row)
    return Task(
        name=f"{base}-{mode}" if mode else base,
        base=base,
        modality=str(task_modality(base)),
        structures=dict(class_map[base]),
        hidden=frozenset(class_map.get(f"{base}_auxiliary", ())),
        spacing=_spacing(row["resample"]),
        networks=_networks(row, mode),
        parts=_parts(base, row["task_id"]),
        licensed=bool(row["commercial"]),
        crop=crop,
        cascaded=bool(row["cascade"]),
        within=(tuple(row["remove_outside"]), row["remove_outside_dilation"]) if row["remove_outside"] else None,
        refined_by=_task("vertebrae_body", "") if base == "vertebrae_pp_refined" else None,
    )


def _row(base: str, mode: str) -> Row:
    from totalsegmentator.map_tasks_config import DEFAULT_CONFIG, TASK_CONFIGS

    row = TASK_CONFIGS[base]
    own = row["sub_modes"]["default" if mode in ("", "small") else mode] if "sub_modes" in row else row
    return {**DEFAULT_CONFIG, **own}


def _spacing(resample: float | Sequence[float] | None) -> Spacing | None:
    if resample is None:
        return None
    right, anterior, superior = [resample] * 3 if isinstance(resample, float) else resample
    return float(right), float(anterior), float(superior)


def _networks(row: Row, mode: str) -> tuple[Network, ...]:
    numbers = row["task_id"] if isinstance(row["task_id"], list) else [row["task_id"]]
    folds = None if row["folds"] is None else tuple(row["folds"])
    plans = _SMALL_PLANS if mode == "small" else _PLANS
    return tuple(_network(number, row["trainer"], row["model"], folds, plans) for number in numbers)


def _network(number: int, trainer: str, configuration: str, folds: tuple[int, ...] | None, plans: str) -> Network:
    from totalsegmentator.map_tasks_config import TASK_ID_WEIGHTS_CONFIGS
    from totalsegmentator.map_to_binary import commercial_models

    row = TASK_ID_WEIGHTS_CONFIGS[number]
    dataset, release = str(row["foldername"]), row.get("version")
    url = f"{_RELEASES}/{release}/{dataset}.zip" if release not in (None, _UNRELEASED) else None
    # Of two tasks with the same network TotalSegmentator asks for the one it lists last.
    licence_name = {known: name for name, known in commercial_models.items()}.get(number)
    return Network(number, dataset, trainer, configuration, folds, plans, url, licence_name)


def _parts(base: str, numbers: int | list[int]) -> Mapping[int, Mapping[int, str]]:
    """What each network finds, by its number; empty for a task of one network, whose labels are the task's."""
    from totalsegmentator import map_to_binary

    if not isinstance(numbers, list):
        return {}
    tables, names = (getattr(map_to_binary, name) for name in _MERGED[base])
    return {number: dict(tables[names[number]]) for number in numbers}


def _crop(base: str, row: Row) -> Crop | None:
    if not row["crop"]:
        return None
    structures = tuple(row["crop"])
    if row["crop_model"]:
        return _around(_task(row["crop_model"], ""), structures, _spacing(row["crop_addon"]) or _MARGIN)
    if {"body_trunc", "body_extremities"} & set(structures):
        return _around(_task("body", "fast"), structures, _MARGIN)
    return _around(_finder(base, bool(row["robust_crop"])), structures, _MARGIN)


def _finder(base: str, robust: bool) -> Task:
    """The task that finds where another has to look."""
    if base.endswith("_mr"):
        return _task("total_mr", "fast")
    return _task("total", "fast" if robust else "fastest")


def _around(finder: Task, structures: tuple[str, ...], margin: Spacing) -> Crop:
    unknown = set(structures) - set(finder.structures.values())
    if unknown:
        raise InputError(f"TotalSegmentator cannot look for {sorted(unknown)[0]} alone: leave the choice out.")
    return Crop(finder, structures, margin)

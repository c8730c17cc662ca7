"""TotalSegmentator's tasks, as the worker told them last: its package need not be in the application's own Python."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from TuckerSegLib.volumes import terminology

from . import settings

SETTING = "TuckerSeg/Tasks"


@dataclass(frozen=True)
class Task:
    """One task: `structures` in label order, `spacing` in mm (None for the image's own), how many networks it runs.

    `installed` is whether all its weights are here, `released` whether they can be had at all, `licensed` whether
    TotalSegmentator asks for a number.
    """

    name: str
    modality: str
    structures: tuple[str, ...]
    spacing: float | None
    networks: int
    installed: bool
    released: bool
    licensed: bool


def take(answer: Mapping[str, Any]) -> None:
    """What the worker answered to "tasks", remembered for the next time the module is opened."""
    settings.write(SETTING, json.dumps(answer))
    _use_table(answer)


def known() -> list[Task]:
    """In TotalSegmentator's order; none before the worker ran for the first time."""
    return list(_read(settings.read(SETTING)))


@cache
def _read(text: str) -> tuple[Task, ...]:
    try:
        found = json.loads(text or "{}")
        tasks = tuple(Task(**{**one, "structures": tuple(one["structures"])}) for one in found.get("tasks", []))
    except (ValueError, TypeError, KeyError, AttributeError):  # another version wrote it
        return ()
    _use_table(found)
    return tasks


def _use_table(answer: Mapping[str, Any]) -> None:
    """Segments get the codes and colours that belong to these tasks."""
    table = answer.get("table")
    if table and Path(table).is_file():
        terminology.use_table(Path(table))

"""TotalSegmentator's tasks as the worker's Python knows them, for a client whose own has none of its package."""

from typing import Any

from ..models.totalsegmentator.tasks import Task, task, task_names
from ..models.totalsegmentator.weights import is_installed
from ..volumes.terminology import table_path
from .protocol import Json


def tasks() -> Json:
    """Each task: what it finds, in what, at which spacing, and whether its weights are here or can be had.

    `table` is the file of codes and colours that belongs to them, None where there is none.
    """
    table = table_path()
    return {"tasks": [_as_json(task(name)) for name in task_names()], "table": str(table) if table else None}


def _as_json(one: Task) -> dict[str, Any]:
    networks = one.all_networks()
    return {
        "name": one.name,
        "modality": one.modality,
        "structures": list(one.found.values()),
        "spacing": max(one.spacing) if one.spacing else None,
        "networks": len(networks),
        "installed": is_installed(one),
        "released": all(network.released for network in networks),
        "licensed": any(network.url is None for network in networks),
    }

"""TotalSegmentator's weights, fetched, unpacked and removed by the worker: in its process nobody waits for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ..models.totalsegmentator import download, weights
from ..models.totalsegmentator.tasks import task as named
from ..progress import Progress
from .protocol import Json


def _install(progress: Progress, task: str, licence_number: str | None = None) -> Json:
    return {"installed": download.install(named(task), licence_number, progress)}


def _import(progress: Progress, archive: str) -> Json:
    progress.stage("unpack")
    return {"installed": weights.import_archive(Path(archive))}


def _remove(progress: Progress, task: str) -> Json:
    progress.check()
    return {"freed": weights.remove(named(task))}


METHODS: Mapping[str, Callable[..., Json]] = {
    "weights_install": _install,
    "weights_import": _import,
    "weights_remove": _remove,
}
"""What the worker can be asked for; the first argument is the request's progress."""

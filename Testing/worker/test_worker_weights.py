"""Weights are fetched, unpacked and removed by the worker, which is told of the progress and of the wish to stop."""

from pathlib import Path
from typing import Any

import pytest

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.models.totalsegmentator import weights as kept
from TuckerSegLib.models.totalsegmentator.tasks import Task, available, task
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.worker.weights import METHODS

pytestmark = pytest.mark.skipif(not available(), reason="TotalSegmentator is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    return tmp_path


def lay_down(known: Task, folder: Path) -> None:
    """Files of the names that whole weights have."""
    for network in known.all_networks():
        for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            file = folder / network.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("0123456789")


def test_installing_tells_how_far_it_is_and_heeds_cancelling(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    progress = Progress(events.append)

    def install(known: Task, licence_number: str | None, progress: Progress) -> list[str]:
        assert (known.name, licence_number) == ("total-fast", "aca_1")
        progress.stage("download")
        progress.cancel()
        progress.step(1, 2)
        return []

    monkeypatch.setattr("TuckerSegLib.models.totalsegmentator.download.install", install)
    with pytest.raises(Cancelled):
        METHODS["weights_install"](progress, task="total-fast", licence_number="aca_1")
    assert events[0].stage == "download"


def test_importing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def import_archive(archive: Path) -> list[str]:
        asked.append(archive)
        return ["Dataset297"]

    monkeypatch.setattr(kept, "import_archive", import_archive)
    assert METHODS["weights_import"](Progress(), archive=str(tmp_path)) == {"installed": ["Dataset297"]}
    assert asked == [tmp_path]


def test_removing_frees_what_no_other_task_needs(folder: Path) -> None:
    lay_down(task("total-fast"), folder)
    lay_down(task("total-fastest"), folder)
    freed = METHODS["weights_remove"](Progress(), task="total-fast")["freed"]
    assert freed == 30 * len(task("total-fast").networks)
    assert not kept.is_installed(task("total-fast"))
    assert kept.is_installed(task("total-fastest"))


def test_removing_keeps_networks_that_others_look_with(folder: Path) -> None:
    lung = task("lung_vessels")
    lay_down(lung, folder)
    finder = next(network for network in lung.all_networks() if network not in lung.networks)
    name = next(name for name in ("total-fast", "total-fastest") if finder in task(name).all_networks())
    METHODS["weights_remove"](Progress(), task=name)
    assert kept.is_installed(lung)

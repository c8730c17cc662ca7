"""TotalSegmentator's weights from the panel: what is asked, what the worker is told, and that nothing is a dead end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import PATIENCE, add_volume, parameters, part

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.progress import Event

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class Job:
    """What the worker does, as far as a run sees it: it goes on until it is told to end."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.done = self.cancelled = False

    def poll(self) -> list[Event]:
        return [Event("download", 0.4, 12.0)]

    def cancel(self) -> None:
        self.done = self.cancelled = True

    def result(self) -> dict[str, Any]:
        if self.cancelled:
            raise Cancelled("The segmentation was cancelled.")
        return self.answer


@pytest.fixture
def asked(panel: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], Job]]:
    """What the worker was asked about weights, with the jobs that it would do."""
    requests: list[tuple[str, dict[str, Any], Job]] = []
    call = panel.logic.client.call

    def answer(method: str, **arguments: Any) -> Any:
        if not method.startswith("weights"):
            return call(method, **arguments)
        requests.append((method, arguments, Job({"installed": ["Dataset1"], "freed": 2_000_000})))
        return requests[-1][2]

    monkeypatch.setattr(panel.logic.client, "call", answer)
    return requests


@pytest.fixture
def press(host: Any, panel: Any) -> Callable[[str], None]:
    def choose_and_press(task: str) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        parameters(panel).model = task
        host.click(panel.ui.applyButton)

    return choose_and_press


def end(host: Any, panel: Any, job: Job) -> None:
    job.done = True
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.process_events(50)


def test_weights_are_fetched_by_the_worker_when_the_user_agrees(
    host: Any, panel: Any, asked: list[Any], press: Callable[[str], None]
) -> None:
    host.answer_next(False)
    press("total-fast")
    assert asked == []
    host.answer_next(True)
    host.click(panel.ui.applyButton)
    ((method, arguments, job),) = asked
    assert (method, arguments) == ("weights_install", {"task": "total-fast", "licence_number": None})
    assert host.wait_until(lambda: panel.ui.statusLabel.text == "total-fast, downloading: 40 %, 12 s left", PATIENCE)
    end(host, panel, job)
    assert panel.ui.statusLabel.text == "The weights were downloaded: press Segment"


def test_licensed_weights_ask_for_the_number_and_name_the_terms(
    host: Any, panel: Any, asked: list[Any], press: Callable[[str], None]
) -> None:
    press("heartchambers_highres")  # nobody answers
    assert asked == [] and not panel.logic.busy
    host.answer_next(" aca_12345 ")
    host.click(panel.ui.applyButton)
    ((_method, arguments, job),) = asked
    assert arguments == {"task": "heartchambers_highres", "licence_number": "aca_12345"}
    end(host, panel, job)


def test_every_task_that_is_not_here_leads_somewhere(panel: Any, host: Any, asked: list[Any]) -> None:
    known = part("choices.tasks").known()
    for task in known:
        host.answer_next("aca_12345")
        panel.widget.panel.weights.offer(task)
        if asked:
            asked[-1][2].done = True
            assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.answers.clear()
    released = [task.name for task in known if task.released]
    assert [arguments["task"] for _method, arguments, _job in asked] == released
    dead_ends = sum("never released" in dialog.text and "import" in dialog.text for dialog in host.dialogs)
    assert dead_ends == len(known) - len(released)


def test_deleting_the_input_does_not_break_the_download_off(
    host: Any, panel: Any, asked: list[Any], press: Callable[[str], None]
) -> None:
    import slicer

    host.answer_next(True)
    press("total-fast")
    slicer.mrmlScene.RemoveNode(panel.ui.inputSelector.currentNode())
    host.process_events(200)
    assert panel.logic.busy
    end(host, panel, asked[-1][2])


def test_download_can_be_cancelled(host: Any, panel: Any, asked: list[Any], press: Callable[[str], None]) -> None:
    host.answer_next(True)
    press("total-fast")
    host.click(panel.ui.applyButton)
    assert asked[-1][2].cancelled
    assert not panel.logic.busy


def test_archive_is_imported(host: Any, panel: Any, asked: list[Any], tmp_path: Path) -> None:
    host.answer_next(str(tmp_path / "weights.zip"))
    panel.widget.panel.weights.import_archive()
    ((method, arguments, job),) = asked
    assert (method, arguments) == ("weights_import", {"archive": str(tmp_path / "weights.zip")})
    end(host, panel, job)
    assert panel.ui.statusLabel.text == "Imported: Dataset1"


def test_weights_are_removed_on_consent(host: Any, panel: Any, asked: list[Any], remembered: dict[str, str]) -> None:
    told = json.loads(remembered["TuckerSeg/Tasks"])
    installed = [{**task, "installed": task["name"] == "total-fast"} for task in told["tasks"]]
    remembered["TuckerSeg/Tasks"] = json.dumps({**told, "tasks": installed})
    parameters(panel).model = "total-fast"
    host.answer_next(False)
    panel.widget.panel.weights.remove()
    assert asked == []
    host.answer_next(True)
    panel.widget.panel.weights.remove()
    ((method, arguments, job),) = asked
    assert (method, arguments) == ("weights_remove", {"task": "total-fast"})
    end(host, panel, job)
    assert panel.ui.statusLabel.text == "The weights were removed, which freed 2 MB"


def test_clearing_the_cache_asks_first(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(panel.logic, "ask", lambda method, _finished, **_arguments: asked.append(method))
    host.click(panel.ui.advancedCollapsibleButton)
    asked.clear()
    host.answer_next(False)
    host.click(panel.ui.clearCacheButton)
    assert asked == []
    host.answer_next(True)
    host.click(panel.ui.clearCacheButton)
    assert asked == ["cache_clear"]
    host.click(panel.ui.advancedCollapsibleButton)

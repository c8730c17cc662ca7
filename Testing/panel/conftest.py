"""The panel in an empty scene, with a small model chosen; the host is one for each file."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import slicerhost
from support.panel import MANY, MODULE, PATIENCE, STRUCTURES, add_volume, parameters, use_this_python
from support.trained_folders import make_folder

from TuckerSegLib.worker.tasks import tasks


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    return str(make_folder(folder, labels=STRUCTURES, features=(8, 16), patch_size=(16, 16, 16)))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path_factory.mktemp("weights")))
        running = slicerhost.start()
        use_this_python()
        yield running
        running.quit()


@pytest.fixture(scope="module")
def loaded(host: Any) -> Iterator[Any]:
    yield host.load_module(MODULE)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch, loaded: Any) -> dict[str, str]:
    """The application's settings: its own Python runs the worker, and TotalSegmentator's tasks are known."""
    kept = {"TuckerSeg/Python": "slicer", "TuckerSeg/Tasks": json.dumps(tasks())}
    monkeypatch.setattr("TuckerSegPanel.choices.settings.read", lambda name: kept.get(name, ""))
    monkeypatch.setattr("TuckerSegPanel.choices.settings.write", kept.__setitem__)
    return kept


@pytest.fixture
def panel(host: Any, loaded: Any, model: str, remembered: dict[str, str]) -> Iterator[Any]:
    """The opened panel in an empty scene, with the small model chosen."""
    host.close_scene()
    loaded.enter()
    parameters(loaded).model = model
    host.process_events()
    yield loaded
    if hasattr(sys.modules["slicer"], "app"):
        loaded.logic.cancel()
        loaded.enter()
    assert not host.unexpected, "\n".join(host.unexpected)
    for record in (host.violations, host.errors, host.dialogs, host.answers):
        record.clear()


@pytest.fixture
def segment(host: Any, panel: Any) -> Callable[[], str]:
    """Presses Segment, waits until the run is over, and gives what the panel says then."""

    def press_and_wait() -> str:
        host.click(panel.ui.applyButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        return str(panel.ui.statusLabel.text)

    return press_and_wait


@pytest.fixture
def start_long_run(host: Any, panel: Any) -> Callable[[], None]:
    """A run on a large volume, which is on its way once this returns."""

    def start() -> None:
        host.choose(panel.ui.inputSelector, add_volume(MANY, "Large"))
        host.click(panel.ui.applyButton)
        assert host.wait_until(lambda: panel.ui.statusLabel.text.startswith("Segmenting"), PATIENCE)

    return start

"""TuckerSeg's own Python, really made from an interpreter of this computer: broken off, gone on with, used, removed.

uv comes from the package index, as everything else does that is pinned; only PyTorch's build is the one that this
computer's pip would take.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import FEW, add_volume, names_of, part

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries()),
]

PATIENCE = 1800.0


def pip_option(name: str) -> str:
    """An option of this computer's pip; empty where there is none."""
    command = [sys.executable, "-m", "pip", "config", "get", name]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def folder(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    own = tmp_path / "environment"
    monkeypatch.setenv("TUCKERSEG_ENVIRONMENT", str(own))
    links = pip_option("global.find-links") or pip_option(":env:.find-links")
    if links:
        monkeypatch.setenv("UV_FIND_LINKS", links)
        monkeypatch.setattr(part("environment.builds"), "fitting", lambda: part("environment.builds").ORDINARY)
    part("environment.interpreters").choose("")
    panel.switch_away()
    panel.enter()
    yield own
    shutil.rmtree(own, ignore_errors=True)


def test_made_broken_off_gone_on_with_used_and_removed(host: Any, panel: Any, model: str, folder: Path) -> None:
    start_making(host, panel)
    assert host.wait_until(lambda: panel.ui.statusLabel.text.startswith("PyTorch, installing"), PATIENCE)
    assert host.wait_until(lambda: any((folder / "cache").rglob("*.whl")) or uses_room(folder), PATIENCE)
    host.click(panel.ui.applyButton)
    assert host.wait_until(lambda: not panel.logic.busy, 60)
    assert panel.ui.packagesLabel.text == "The installation was broken off"

    start_making(host, panel)
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.process_events()
    assert panel.ui.statusLabel.text.startswith("Installed: Python 3."), (host.dialogs[-1], panel.ui.statusLabel.text)
    assert not (folder / "cache").exists()

    node = panel.logic.process(add_volume(FEW), model=model, factor=0.5, device="cpu")
    assert names_of(node)
    interpreter = Path(f"/proc/{panel.logic.client.pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    assert interpreter == str(folder / "python" / "bin" / "python")

    host.answer_next(True)
    panel.widget.panel.python.remove()
    assert host.wait_until(lambda: not panel.logic.busy, 120)
    assert not folder.exists()


def start_making(host: Any, panel: Any) -> None:
    """From the interpreter that runs the tests, without its environment."""
    host.answer_next(str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"), True)
    panel.widget.panel.python.make_from()
    assert panel.logic.busy


def uses_room(folder: Path) -> bool:
    """Whether uv has fetched something by now."""
    return sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file()) > 1_000_000

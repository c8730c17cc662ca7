"""Takes the pictures in Resources/Screenshots: the panel on the sample, in each of its states."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import slicerhost  # noqa: E402
from support.panel import use_this_python  # noqa: E402

PICTURES = ROOT / "Resources" / "Screenshots"
PATIENCE = 600.0
WIDTH, WIDE = 420, 640
MODEL = "sample-small"
LEVEL = 1
"""The slider's position, DF 0.9: of a network as small as the sample's, little is left below it."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = os.environ["TUCKERSEG_CACHE"] = os.environ["TOTALSEG_WEIGHTS_PATH"] = folder
        os.environ["TUCKERSEG_ENVIRONMENT"] = "/home/user/.local/share/TuckerSeg/environment"
        host = slicerhost.start()
        panel = host.load_module(ROOT / "TuckerSeg" / "TuckerSeg.py")
        panel.enter()
        _packages(host, panel)
        _empty(host, panel)
        _run(host, panel)
        _advanced(host, panel)
        _error(host, panel)
        problems = host.unexpected
        host.quit()
    sys.exit("\n".join(problems) or 0)


def _empty(host: Any, panel: Any) -> None:
    host.drag(panel.ui.levelSlider, LEVEL)
    assert host.wait_until(lambda: "FLOPs" in panel.ui.expectedLabel.toolTip, PATIENCE)
    _take(host, panel, "empty")


def _run(host: Any, panel: Any) -> None:
    host.click(panel.ui.sampleButton)
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.process_events(200)
    host.click(panel.ui.measureButton)
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.click(panel.ui.applyButton)
    assert host.wait_until(lambda: "left" in panel.ui.statusLabel.text, PATIENCE)
    _take(host, panel, "running")
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    _take(host, panel, "finished")
    _take(host, panel, "finished_wide", WIDE)


def _advanced(host: Any, panel: Any) -> None:
    sections = (panel.ui.structuresCollapsibleButton, panel.ui.advancedCollapsibleButton, panel.ui.logCollapsibleButton)
    for section in sections:
        host.click(section)
    assert host.wait_until(lambda: "MB" in panel.ui.cacheLabel.text, PATIENCE)
    _take(host, panel, "advanced")
    for section in sections:
        host.click(section)


def _error(host: Any, panel: Any) -> None:
    panel.logic.getParameterNode().SetParameter("Model", "/data/lungs")
    host.click(panel.ui.applyButton)
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.process_events(200)
    _take(host, panel, "error")


def _packages(host: Any, panel: Any) -> None:
    """The module has no Python of its own yet; from then on the one that runs this runs the worker."""
    _take(host, panel, "packages_missing")
    use_this_python()
    panel.logic.getParameterNode().SetParameter("Model", MODEL)
    panel.switch_away()
    panel.enter()


def _take(host: Any, panel: Any, state: str, width: int = WIDTH) -> None:
    host.screenshot(panel.panel, PICTURES / f"panel_{state}.png", width)


if __name__ == "__main__":
    main()

"""How the panel looks, that every control explains itself, and that PythonQt has what it uses."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import MODULE
from support.paths import ROOT

CHECKER = ROOT.parent / "shared" / "tools" / "check_scripted_module.py"
CHECK_ALL = """
import contextlib, runpy, sys
checker, *files = sys.argv[1:]
for file in files:
    sys.argv = [checker, file]
    with contextlib.suppress(SystemExit):
        runpy.run_path(checker)
"""
pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class TestAppearance:
    @pytest.mark.parametrize("width", [420, 700])
    def test_everything_fits(self, host: Any, panel: Any, tmp_path: Path, width: int) -> None:
        host.click(panel.ui.advancedCollapsibleButton)
        host.screenshot(panel.panel, tmp_path / "panel.png", width)
        assert panel.panel.width == width
        host.click(panel.ui.advancedCollapsibleButton)

    def test_every_control_explains_itself(self, panel: Any) -> None:
        qt = sys.modules["qt"]

        kinds = (qt.QAbstractButton, qt.QComboBox, qt.QSlider, qt.QListWidget, qt.QCheckBox, qt.QLabel)
        controls = [value for value in vars(panel.ui).values() if type(value).__mro__ and _is_any(value, kinds)]
        named = [control for control in controls if not control.objectName.startswith("qt_")]
        silent = [c.objectName for c in named if not c.toolTip and not c.objectName.endswith("CollapsibleButton")]
        assert len(named) > 20
        assert silent == []

    @pytest.mark.skipif(not CHECKER.is_file(), reason="the checker of what PythonQt exposes is not beside the project")
    def test_uses_only_what_pythonqt_exposes(self) -> None:
        files = [MODULE, *sorted((MODULE.parent / "TuckerSegPanel").rglob("*.py"))]
        done = subprocess.run(
            [sys.executable, "-c", CHECK_ALL, CHECKER, *files], capture_output=True, text=True, check=True
        )
        assert set(done.stdout.splitlines()) == {"nothing found"}


def _is_any(widget: Any, kinds: tuple[Any, ...]) -> bool:
    return any(kind in type(widget).__mro__ for kind in kinds)

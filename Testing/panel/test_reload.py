"""*Reload* as a developer uses it: a changed file of the panel or of the library is what the next click runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import slicerhost
from support.paths import ROOT

CHANGE_AND_RELOAD = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
import slicerhost
host = slicerhost.start()
import slicer
slicer.app.settings().setValue("Developer/DeveloperMode", True)
root = Path(sys.argv[1])
panel = host.load_module(root / "TuckerSeg" / "TuckerSeg.py")
panel.enter()
before = panel.widget
words = root / "TuckerSegLib" / "words" / "wording.py"
words.write_text(words.read_text().replace("the original network, nothing removed", "as it was"))
levels = root / "TuckerSegLib" / "decomposition" / "published.py"
levels.write_text(levels.read_text().replace("0.1, 0.05)", "0.1)"))
host.click(panel.widget.reloadButton)
assert slicer.modules.TuckerSegWidget is not before
assert "DF 1: as it was" in panel.ui.expectedLabel.toolTip, panel.ui.expectedLabel.toolTip
assert panel.ui.levelSlider.maximum == 7
assert slicer.modules.TuckerSegWidget.panel._entered
assert not host.unexpected, host.unexpected
host.quit()
"""

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


def test_every_file_is_loaded_anew_and_the_module_is_open(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("TuckerSeg", "TuckerSegLib"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for sample in ("SampleModel", "WideSampleModel"):
        shutil.copytree(ROOT / "Resources" / sample, tmp_path / "Resources" / sample)
    command = [sys.executable, "-B", "-c", CHANGE_AND_RELOAD, tmp_path, ROOT / "Testing"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

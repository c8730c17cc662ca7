"""What 3D Slicer is told to do: make the module's Python, run the self-test, take pictures, and end with a status."""

# mypy: ignore-errors

import os
import time
import traceback
import unittest
from pathlib import Path
from typing import Any

import slicer

MODEL = "sample-small"
"""What is segmented with for the pictures."""

SECONDS_BETWEEN_LOOKS = 0.05


def main() -> int:
    """0 where every test passed."""
    pictures = Path(os.environ.get("TUCKERSEG_PICTURES", "."))
    slicer.util.selectModule("TuckerSeg")
    widget = slicer.modules.TuckerSegWidget
    take(pictures / "before.png")
    install(widget)
    passed = self_test()
    show_a_run(widget, pictures)
    return 0 if passed else 1


def install(widget: Any) -> None:
    """The Python of the module's own, as its button makes it, without the question."""
    from TuckerSegPanel.environment import builds, interpreters, making
    from TuckerSegPanel.environment.places import Places
    from TuckerSegPanel.runs.run import Run
    from TuckerSegPanel.runs.runner import Listener

    if interpreters.need() is not None:
        run = Run(making.make(Places.of_user(), making.Plan(builds.fitting())))
        widget.logic.start(Listener(run, lambda advance: print(advance.title, f"{advance.fraction:.0%}", flush=True)))
        print("installed:", widget.logic.wait(run), flush=True)
    widget.exit()
    widget.enter()


def self_test() -> bool:
    """Whether the module's own tests ran and passed."""
    import TuckerSeg

    suite = unittest.TestLoader().loadTestsFromTestCase(TuckerSeg.TuckerSegTest)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return result.wasSuccessful() and result.testsRun > 0 and not result.skipped


def show_a_run(widget: Any, pictures: Path) -> None:
    """The sample segmented by the panel's own button, in the whole window."""
    slicer.mrmlScene.Clear(0)
    widget.logic.getParameterNode().SetParameter("Model", MODEL)
    for button, picture in ((widget.ui.sampleButton, "sample.png"), (widget.ui.applyButton, "segmented.png")):
        button.click()
        while widget.logic.busy:
            slicer.app.processEvents()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        slicer.app.processEvents()
        take(pictures / picture)


def take(path: Path) -> None:
    """A picture of the main window, where there is one."""
    slicer.app.processEvents()
    window = slicer.util.mainWindow()
    if window is not None:
        window.grab().save(str(path))


def run_and_exit() -> None:
    """For 3D Slicer: whatever goes wrong is told by its exit status."""
    try:
        status = main()
    except Exception:
        traceback.print_exc()
        status = 1
    slicer.util.exit(status)


if __name__ == "__main__":
    run_and_exit()

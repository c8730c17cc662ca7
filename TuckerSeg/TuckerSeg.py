"""TuckerSeg in 3D Slicer: nnU-Nets compressed to the level that a slider says, run without stopping the application."""
# ruff: noqa: N802  (the names that Slicer calls)

import logging
import sys
import unittest
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

HERE = Path(__file__).resolve().parent
# The one change to Python's path: the library's folder, at the end, where it hides nothing. Installed, the library lies
# beside this file; in a source checkout, beside the folder that this file is in.
for folder in (HERE, HERE.parent):
    if (folder / "TuckerSegLib").is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))

from TuckerSegPanel.logic import TuckerSegLogic  # noqa: E402
from TuckerSegPanel.scene import phantom  # noqa: E402
from TuckerSegPanel.selftest import SelfTest  # noqa: E402
from TuckerSegPanel.widgets.panel import Panel  # noqa: E402

HOMEPAGE = "https://github.com/TuckerSeg/SlicerTuckerSeg"
PACKAGES = ("TuckerSegPanel", "TuckerSegLib")
"""What the module is made of, and what *Reload* loads anew."""


class TuckerSeg(ScriptedLoadableModule):
    """What Slicer knows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("TuckerSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["TuckerSeg developers"]
        self.parent.helpText = _(
            "Finds organs, bones, vessels and muscles in CT and MR scans. The slider chooses between the original "
            "network's result and faster ones, by networks compressed to a part of it, and says beforehand how long "
            "each takes on this computer and how far it agrees with the original. Research software, not a medical "
            'device. See the <a href="{url}">documentation</a>.'
        ).format(url=f"{HOMEPAGE}#readme")
        self.parent.acknowledgementText = _(
            "The compression follows Weber, Dexl, Rügamer and Ingrisch: Post-Training Network Compression for 3D "
            "Medical Image Segmentation, Radiology: Artificial Intelligence 2025. Please cite it, nnU-Net (Isensee et "
            "al., Nature Methods 2021), and TotalSegmentator (Wasserthal et al., Radiology: AI 2023) if you use it."
        )
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self) -> None:
        phantom.register(self.resourcePath("Icons/TuckerSeg.png"), load_sample)

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        try:
            ScriptedLoadableModule.runTest(self, msec, **kwargs)
        except unittest.SkipTest as reason:
            logging.warning("The self-test of TuckerSeg was skipped: %s", reason)


class TuckerSegWidget(ScriptedLoadableModuleWidget):
    """Mounts the panel where Slicer wants it."""

    def __init__(self, parent: Any = None) -> None:
        self.logic: TuckerSegLogic | None = None
        self.panel: Panel | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        mounted = slicer.util.loadUI(self.resourcePath("UI/TuckerSeg.ui"))
        self.layout.addWidget(mounted)
        self.ui = slicer.util.childWidgetVariables(mounted)
        mounted.setMRMLScene(slicer.mrmlScene)
        self.logic = TuckerSegLogic()
        self.panel = Panel(self.ui, self.logic, self.parent)

    def enter(self) -> None:
        if self.panel:
            self.panel.enter()

    def exit(self) -> None:
        if self.panel:
            self.panel.exit()

    def cleanup(self) -> None:
        """Called when the module is reloaded and when the application closes."""
        if self.panel and self.logic:
            self.panel.close()
            self.logic.close()

    def onReload(self) -> None:
        """The module's other files are loaded anew as well, and the new panel is the one that is open."""
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)
        slicer.modules.TuckerSegWidget.enter()


class TuckerSegTest(SelfTest):
    """The self-test, where Slicer looks for it."""


def load_sample() -> Any:
    """A phantom CT, by a logic of its own."""
    logic = TuckerSegLogic()
    try:
        return logic.loadSample()
    finally:
        logic.close()

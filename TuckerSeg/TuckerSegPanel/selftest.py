"""The module's self-test: needs nothing but the sample, and is skipped where Python packages are missing."""
# ruff: noqa: N802  (the names that Slicer calls)

from typing import Any

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.segmentation.request import Request

from .environment import interpreters
from .logic import TuckerSegLogic
from .runs.run import Advance, Run
from .runs.runner import Listener


class SelfTest(ScriptedLoadableModuleTest):
    """What `TuckerSegTest` runs, in the application and in the tests of this project."""

    model = "sample-small"

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        need = interpreters.need()
        if need:
            self.delayDisplay(need.sentence)
            self.skipTest(need.sentence)
        logic = TuckerSegLogic()
        try:
            volume = logic.loadSample()
            self.segmentsAtTwoLevels(logic, volume)
            self.cancellingLeavesTheSceneAsItWas(logic, volume)
            self.comparesWithTheOriginal(logic, volume)
        finally:
            logic.close()

    def segmentsAtTwoLevels(self, logic: TuckerSegLogic, volume: Any) -> None:
        advances: list[Advance] = []
        node = logic.process(volume, model=self.model, factor=0.5, progress=advances.append)
        self.assertTrue(advances)
        segment = node.GetSegmentation().GetNthSegmentID(0)
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
        self.assertEqual(voxels.shape, slicer.util.arrayFromVolume(volume).shape)
        self.assertTrue(voxels.any())
        again = logic.process(volume, node, model=self.model, factor=0.3)
        self.assertIs(again, node)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 1)

    def cancellingLeavesTheSceneAsItWas(self, logic: TuckerSegLogic, volume: Any) -> None:
        before = slicer.mrmlScene.GetNumberOfNodes()
        run = logic.process(volume, model=self.model, finished=self.fail)
        run.cancel()
        with self.assertRaises(Cancelled):
            logic.wait(run)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def comparesWithTheOriginal(self, logic: TuckerSegLogic, volume: Any) -> None:
        run = Run(logic.segmenting.compare(volume, None, None, Request(self.model, 0.5), False), [volume])
        logic.start(Listener(run))
        compared = logic.wait(run)
        columns = [compared.table.GetColumnName(index) for index in range(compared.table.GetNumberOfColumns())]
        self.assertEqual(columns, ["Structure", "Dice", "Volume", "Original volume"])
        self.assertTrue(0 <= compared.agreement <= 1)

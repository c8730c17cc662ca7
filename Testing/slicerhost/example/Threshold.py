"""A scripted module written as Slicer's template has it, for the tests of the host."""

# mypy: ignore-errors

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Threshold(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Threshold")
        parent.categories = [_("Examples")]
        parent.dependencies = []
        parent.contributors = ["The TuckerSeg authors"]
        parent.helpText = _("Counts the voxels above a threshold.")
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self):
        import SampleData

        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Examples", sampleName="Ramp", uris="", customDownloader=lambda source: [ThresholdLogic.ramp()]
        )


class ThresholdWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.node = None
        self.updating = False

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Threshold.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ThresholdLogic()
        self.timer = qt.QTimer()
        self.timer.interval = 10
        self.timer.connect("timeout()", self.onTimer)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateNode)
        self.ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateNode)
        self.ui.thresholdSlider.connect("valueChanged(int)", self.updateNode)
        self.ui.fractionSlider.connect("valueChanged(double)", self.updateNode)
        self.ui.invertCheckBox.toggled.connect(self.updateNode)
        self.ui.nameEdit.connect("editingFinished()", self.updateNode)
        self.ui.methodBox.connect("currentIndexChanged(int)", self.updateNode)
        self.ui.structuresBox.addItems(["liver", "spleen"])
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.slowButton.clicked.connect(self.timer.start)
        self.initializeParameterNode()

    def cleanup(self):
        self.timer.stop()
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        if self.node is not None:
            self.removeObserver(self.node, vtk.vtkCommand.ModifiedEvent, self.updateGUI)
            self.node = None

    def onSceneStartClose(self, caller, event):
        self.exit()

    def onSceneEndClose(self, caller, event):
        self.initializeParameterNode()

    def initializeParameterNode(self):
        self.exit()
        self.node = self.logic.getParameterNode()
        self.addObserver(self.node, vtk.vtkCommand.ModifiedEvent, self.updateGUI)
        self.updateGUI()

    def updateGUI(self, caller=None, event=None):
        if self.updating or self.node is None:
            return
        self.updating = True
        self.ui.inputSelector.setCurrentNode(self.node.GetNodeReference("Input"))
        self.ui.outputSelector.setCurrentNode(self.node.GetNodeReference("Output"))
        self.ui.thresholdSlider.value = int(self.node.GetParameter("Threshold") or "3")
        self.ui.fractionSlider.value = float(self.node.GetParameter("Fraction") or "0.5")
        self.ui.invertCheckBox.checked = self.node.GetParameter("Invert") == "true"
        self.ui.nameEdit.text = self.node.GetParameter("Name") or ""
        self.ui.methodBox.currentIndex = max(0, self.ui.methodBox.findText(self.node.GetParameter("Method")))
        self.ui.applyButton.enabled = self.ui.inputSelector.currentNode() is not None
        self.ui.applyButton.toolTip = _("Count") if self.ui.applyButton.enabled else _("Choose a volume first")
        self.ui.hintLabel.text = f"Above {self.ui.thresholdSlider.value}"
        self.updating = False

    def updateNode(self, *_unused):
        if self.updating or self.node is None:
            return
        wasModifying = self.node.StartModify()
        self.node.SetNodeReferenceID("Input", self.ui.inputSelector.currentNodeID)
        self.node.SetNodeReferenceID("Output", self.ui.outputSelector.currentNodeID)
        self.node.SetParameter("Threshold", str(self.ui.thresholdSlider.value))
        self.node.SetParameter("Fraction", str(self.ui.fractionSlider.value))
        self.node.SetParameter("Invert", "true" if self.ui.invertCheckBox.checked else "false")
        self.node.SetParameter("Name", self.ui.nameEdit.text)
        self.node.SetParameter("Method", self.ui.methodBox.currentText)
        self.node.EndModify(wasModifying)

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("Counting failed."), waitCursor=True):
            count = self.logic.process(self.ui.inputSelector.currentNode(), self.ui.thresholdSlider.value)
            self.ui.resultLabel.text = _("{count} voxels").format(count=count)
            self.ui.progressBar.value = 100

    def onTimer(self):
        self.ui.progressBar.value = min(100, self.ui.progressBar.value + 20)


class ThresholdLogic(ScriptedLoadableModuleLogic):
    @staticmethod
    def ramp():
        import numpy as np

        return slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="Ramp")

    def process(self, volumeNode, threshold):
        if volumeNode is None or volumeNode.GetImageData() is None:
            raise ValueError("The volume has no voxels")
        return int((slicer.util.arrayFromVolume(volumeNode) > threshold).sum())


class ThresholdTest(ScriptedLoadableModuleTest):
    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_Ramp()

    def test_Ramp(self):
        import SampleData

        self.delayDisplay("Starting the test")
        source = SampleData.SampleDataLogic().sourceForSampleName("Ramp")
        node = source.customDownloader(source)[0]
        self.assertEqual(ThresholdLogic().process(node, 19), 4)
        self.delayDisplay("Test passed")

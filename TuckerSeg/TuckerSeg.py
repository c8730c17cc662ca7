"""TuckerSeg in 3D Slicer: nnU-Nets compressed to the level that a slider says, run without stopping the application."""
# ruff: noqa: N802, N803  (the names that Slicer calls, and those its users expect in scripts)

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HERE = Path(__file__).resolve().parent
# Installed, the library lies beside this file; in a source checkout, beside the folder that this file is in.
for folder in (HERE, HERE.parent):
    if (folder / "TuckerSegLib").is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))

from TuckerSegPanel.choices import measurements, models, packages, settings  # noqa: E402
from TuckerSegPanel.choices.measurements import Expected, Measurements  # noqa: E402
from TuckerSegPanel.choices.parameters import DEVICES, ENGINE_NAMES, ENGINES, Parameters  # noqa: E402
from TuckerSegPanel.runs import download as downloads  # noqa: E402
from TuckerSegPanel.runs.run import Advance, Run, Step, Steps  # noqa: E402
from TuckerSegPanel.runs.runner import Listener, Runner, ignore  # noqa: E402
from TuckerSegPanel.runs.segmenting import Compared, Outcome, Segmenting, setup_of  # noqa: E402
from TuckerSegPanel.scene import sample, sequences, views  # noqa: E402
from TuckerSegPanel.scene.tables import fill_trade_off  # noqa: E402
from TuckerSegPanel.widgets import (  # noqa: E402
    stages,
    wording,
)
from TuckerSegPanel.widgets.choice_list import ChoiceList  # noqa: E402
from TuckerSegPanel.widgets.model_list import ModelList  # noqa: E402
from TuckerSegPanel.widgets.structure_list import StructureList  # noqa: E402
from TuckerSegPanel.widgets.wording import LEVELS, Cost  # noqa: E402

from TuckerSegLib.errors import Cancelled, InputError, TuckerSegError  # noqa: E402
from TuckerSegLib.segmentation.request import Request  # noqa: E402
from TuckerSegLib.worker.client import Client  # noqa: E402

HOMEPAGE = "https://github.com/TuckerSeg/SlicerTuckerSeg"
SECONDS_BETWEEN_POLLS = 0.01


class TuckerSeg(ScriptedLoadableModule):
    """What Slicer knows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("TuckerSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["TuckerSeg developers"]
        self.parent.helpText = _(
            "Segments CT and MR volumes with nnU-Nets, such as TotalSegmentator's, that are compressed to the level "
            'you choose: from the original network to a few percent of it. See the <a href="{url}">documentation</a>.'
        ).format(url=f"{HOMEPAGE}#readme")
        self.parent.acknowledgementText = _(
            "The compression follows Weber, Dexl, Rügamer and Ingrisch: Post-Training Network Compression for 3D "
            "Medical Image Segmentation, Radiology: Artificial Intelligence 2025. Please cite it, nnU-Net (Isensee et "
            "al., Nature Methods 2021), and TotalSegmentator (Wasserthal et al., Radiology: AI 2023) if you use it."
        )
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self) -> None:
        sample.register(self.resourcePath("Icons/TuckerSeg.png"))


class TuckerSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Shows the parameter node's choices and changes them; what is done with them is the logic's."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: TuckerSegLogic | None = None
        self._parameters: Parameters | None = None
        self._updating = False
        self._entered = False
        self._missing: list[packages.Package] = []
        self._costs: dict[str, dict[float, Cost]] = {}
        self._computerKnown = False

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/TuckerSeg.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = TuckerSegLogic()
        self._modelList = ModelList(self.ui.modelSelector)
        self._structureList = StructureList(
            self.ui.structuresList, self.ui.structuresSearchBox, self.ui.structuresSummaryLabel, self.onStructures
        )
        self.ui.advancedCollapsibleButton.collapsed = True
        self.ui.logCollapsibleButton.collapsed = True
        self._fillSelectors()
        self._connectChoices()
        self._connectButtons()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the module is reloaded and when the application closes."""
        self.removeObservers()
        self._parameters = None
        if self.logic:
            self.logic.close()

    def enter(self) -> None:
        self._entered = True
        self.initializeParameterNode()
        self._missing = packages.missing()
        self._modelList.fill(models.offered_models())
        self.refresh()
        self._askForCosts()
        self._askForComputer()

    def exit(self) -> None:
        self._entered = False

    def onSceneStartClose(self, _caller: Any, _event: Any) -> None:
        self.logic.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller: Any, _event: Any) -> None:
        if self._entered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller: Any, _event: Any) -> None:
        if self._parameters is not None:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())
        if self._parameters.volume is None:
            self._parameters.volume = _firstVolume()

    def setParameterNode(self, node: "slicer.vtkMRMLScriptedModuleNode | None") -> None:
        if self._parameters is not None:
            self.removeObserver(self._parameters.node, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self._parameters = Parameters(node) if node else None
        if node:
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.refresh()

    def _fillSelectors(self) -> None:
        devices = [_("Automatic"), _("CPU"), _("NVIDIA GPU (CUDA)"), _("Apple GPU (MPS)")]
        engines = [_("Automatic"), *ENGINE_NAMES.values()]
        titles = dict(zip(DEVICES, devices, strict=True)), dict(zip(ENGINES, engines, strict=True))
        self._deviceList = ChoiceList(self.ui.deviceSelector, titles[0], ["auto", "cpu"])
        self._engineList = ChoiceList(self.ui.engineSelector, titles[1], ["auto"])
        self._modelList.fill(models.offered_models())
        menu = qt.QMenu(self.ui.browseButton)
        menu.addAction(_("Trained nnU-Net folder…")).connect("triggered()", self.onBrowseFolder)
        menu.addAction(_("Compressed model (.tuckerseg)…")).connect("triggered()", self.onBrowseFile)
        self.ui.browseButton.setMenu(menu)

    def _connectChoices(self) -> None:
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onInput)
        self.ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._choose(segmentation=node))
        self.ui.modelSelector.connect("currentIndexChanged(int)", self.onModel)
        self.ui.levelSlider.connect("valueChanged(int)", lambda position: self._choose(factor=LEVELS[position]))
        self.ui.deviceSelector.connect("activated(int)", lambda _index: self._choose(device=self._deviceList.key))
        self.ui.engineSelector.connect("activated(int)", lambda _index: self._choose(engine=self._engineList.key))
        self.ui.standardNamesCheckBox.connect("toggled(bool)", lambda on: self._choose(standard_names=on))
        self.ui.allFramesCheckBox.connect("toggled(bool)", lambda on: self._choose(all_frames=on))
        self.ui.exactRanksCheckBox.connect("toggled(bool)", lambda on: self._choose(exact_ranks=on))
        self.ui.fitToScanCheckBox.connect("toggled(bool)", lambda on: self._choose(fit_to_scan=on))

    def _connectButtons(self) -> None:
        self.ui.installButton.connect("clicked(bool)", self.onInstall)
        self.ui.sampleButton.connect("clicked(bool)", self.onSample)
        self.ui.measureButton.connect("clicked(bool)", self.onMeasure)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.compareButton.connect("clicked(bool)", self.onCompare)
        self.ui.tradeOffButton.connect("clicked(bool)", self.onTradeOff)
        self.ui.allStructuresButton.connect("clicked(bool)", self.onAllStructures)
        self.ui.clearCacheButton.connect("clicked(bool)", self.onClearCache)
        self.ui.advancedCollapsibleButton.connect("contentsCollapsed(bool)", self.onAdvancedCollapsed)

    # Choices: from the panel into the parameter node, and from there into the panel.

    def _choose(self, **choices: Any) -> None:
        if self._parameters is None or self._updating:
            return
        was_modifying = self._parameters.node.StartModify()
        for name, value in choices.items():
            setattr(self._parameters, name, value)
        self._parameters.node.EndModify(was_modifying)

    def onInput(self, node: Any) -> None:
        if self._parameters is None or self._updating:
            return
        output = self._parameters.segmentation
        # A segmentation of another volume must not be overwritten because it was chosen for that one.
        self._choose(volume=node, segmentation=output if _isOf(output, node) else None)

    def onModel(self, _index: int) -> None:
        if self._modelList.key:
            self._choose(model=self._modelList.key, structures=())

    def onStructures(self) -> None:
        self._choose(structures=self._structureList.ticked)

    def onAllStructures(self, _checked: bool = False) -> None:
        self._structureList.clear_ticks()

    def refresh(self, _caller: Any = None, _event: Any = None) -> None:
        """Shows what the parameter node holds and what can be done now."""
        if self._parameters is None or self._updating:
            return
        self._updating = True
        try:
            self._showChoices(self._parameters)
            self._showCost(self._parameters)
            self._showPossibilities(self._parameters)
        finally:
            self._updating = False
        self._askForCosts()

    def _showChoices(self, chosen: Parameters) -> None:
        self.ui.inputSelector.setCurrentNode(chosen.volume)
        self.ui.outputSelector.setCurrentNode(chosen.segmentation)
        self.ui.show3DButton.setSegmentationNode(chosen.segmentation)
        self._modelList.choose(chosen.model)
        self.ui.levelSlider.value = chosen.position
        self._deviceList.choose(chosen.device)
        self._engineList.choose(chosen.engine)
        self._structureList.fill(models.structures_of(chosen.model), chosen.structures)
        self.ui.standardNamesCheckBox.checked = chosen.standard_names
        self.ui.allFramesCheckBox.checked = chosen.all_frames
        self.ui.exactRanksCheckBox.checked = chosen.exact_ranks
        self.ui.fitToScanCheckBox.checked = chosen.fit_to_scan

    def _showCost(self, chosen: Parameters) -> None:
        costs = self._costs.get(chosen.model, {})
        expected = self._expected(chosen)
        if models.is_compressed(chosen.model):
            factor = next(iter(costs), chosen.factor)
            expected = Expected(expected.seconds, None)
        else:
            factor = chosen.factor
        cost = costs.get(factor)
        exact = chosen.exact_ranks or models.is_compressed(chosen.model)
        self.ui.savingsLabel.text = wording.savings(factor, cost, exact)
        self.ui.expectedLabel.text = wording.expectation(factor, cost, expected)

    def _expected(self, chosen: Parameters) -> Expected:
        size = _millilitres(chosen.volume)
        request = self._request(chosen)
        return self.logic.measurements.expected(setup_of(request), request.factor, size)

    def _showPossibilities(self, chosen: Parameters) -> None:
        busy = self.logic.busy
        reason = self._whyNot(chosen)
        self.ui.packagesFrame.visible = bool(self._missing)
        if self._missing:
            self.ui.packagesLabel.text = packages.describe(self._missing)
        self.ui.applyButton.text = _("Cancel") if busy else _("Segment")
        self.ui.applyButton.enabled = busy or not reason
        purpose = _("Stop this run; the scene stays as it was") if busy else _("Segment the input volume")
        self.ui.applyButton.toolTip = purpose if busy or not reason else reason
        self.ui.progressBar.visible = busy
        self.ui.statusLabel.visible = bool(self.ui.statusLabel.text)
        self.ui.sampleButton.visible = chosen.volume is None
        self.ui.sampleButton.enabled = not self._missing and not busy
        compressed = models.is_compressed(chosen.model)
        self.ui.levelSlider.enabled = not compressed
        self.ui.exactRanksCheckBox.enabled = not compressed
        self.ui.fitToScanCheckBox.enabled = not compressed
        for button in (self.ui.measureButton, self.ui.compareButton, self.ui.tradeOffButton):
            button.enabled = not busy and not reason and not compressed
        self.ui.compareButton.enabled = self.ui.compareButton.enabled and chosen.factor != 1
        self.ui.show3DButton.enabled = chosen.segmentation is not None
        self.ui.clearCacheButton.enabled = not busy and not self._missing
        self._showWhetherSequence(chosen)

    def _showWhetherSequence(self, chosen: Parameters) -> None:
        possible = sequences.browser_of(chosen.volume) is not None
        self.ui.allFramesCheckBox.enabled = possible
        self.ui.allFramesCheckBox.toolTip = (
            _("Segment every frame of the sequence that the input volume belongs to")
            if possible
            else _("The input volume is not part of a sequence")
        )

    def _whyNot(self, chosen: Parameters) -> str:
        """Why nothing can be segmented now; empty where it can."""
        if self._missing:
            return _("Install the missing Python packages first")
        if chosen.volume is None:
            return _("Choose an input volume first")
        return ""

    def _request(self, chosen: Parameters) -> Request:
        known = models.structures_of(chosen.model)
        return Request(
            model=chosen.model,
            factor=1.0 if models.is_compressed(chosen.model) else chosen.factor,
            device=chosen.device,
            engine=chosen.engine,
            structures=tuple(name for name in chosen.structures if not known or name in known),
            exact_ranks=chosen.exact_ranks,
            fit_to_scan=chosen.fit_to_scan,
        )

    # Buttons.

    def onApply(self, _checked: bool = False) -> None:
        task = models.task_to_download(self._parameters.model)
        if self.logic.busy:
            self.logic.cancel()
        elif task is not None:
            self.download(task)
        else:
            self.segment()

    def download(self, task: Any) -> None:
        question = _(
            "The weights of {task} are not on this computer. Download {count} networks from TotalSegmentator's pages "
            "now? Nothing is sent but the request for these files."
        ).format(task=task.name, count=len(task.all_networks()))
        if slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            self._start(downloads.download(task), self.onDownloaded)

    def onDownloaded(self, _nothing: Any) -> None:
        self._tell(_("The weights were downloaded: press Segment"))
        self._modelList.fill(models.offered_models())
        self._costs.pop(self._parameters.model, None)
        self.refresh()

    def segment(self) -> None:
        chosen = self._parameters
        all_frames = chosen.all_frames and sequences.browser_of(chosen.volume) is not None
        steps = self.logic.segmenting.segment_frames if all_frames else self.logic.segmenting.segment
        request = self._request(chosen)
        self.log(
            _("Segmenting {volume} with {model} at DF {factor:g}").format(
                volume=chosen.volume.GetName(), model=models.model_of(chosen.model).title, factor=request.factor
            )
        )
        self._start(steps(chosen.volume, chosen.segmentation, request, chosen.standard_names), self.onSegmented)

    def onSegmented(self, outcome: Outcome) -> None:
        self._choose(segmentation=outcome.segmentation)
        finished = outcome.finished
        for warning in finished.warnings:
            self.log(warning)
        if finished.parameters_removed:
            self.log(wording.outcome(finished.parameters_removed, finished.layers_kept))
        self._tell(
            _("{count} structures in {duration}, by {engine} ({level})").format(
                count=outcome.segmentation.GetSegmentation().GetNumberOfSegments(),
                duration=wording.duration(sum(finished.seconds.values())),
                engine=ENGINE_NAMES.get(finished.engine, finished.engine),
                level=_("level was ready") if finished.cache_hit else _("level was prepared"),
            )
        )

    def onCompare(self, _checked: bool = False) -> None:
        chosen = self._parameters
        self._start(
            self.logic.segmenting.compare(
                chosen.volume, chosen.segmentation, chosen.comparison, self._request(chosen), chosen.standard_names
            ),
            self.onCompared,
        )

    def onCompared(self, compared: Compared) -> None:
        self._choose(segmentation=compared.segmentation, comparison=compared.table)
        views.show_table(compared.table)
        self._tell(
            _("Agreement with the original {dice:.3f} (mean Dice); each structure stands in the table").format(
                dice=compared.agreement
            )
        )

    def onMeasure(self, _checked: bool = False) -> None:
        chosen = self._parameters
        self._start(
            self.logic.segmenting.measure(chosen.volume, self._request(chosen), [chosen.factor]),
            lambda _nothing: self._tell(_("Measured on {volume}").format(volume=chosen.volume.GetName())),
        )

    def onTradeOff(self, _checked: bool = False) -> None:
        chosen = self._parameters
        unknown = self.logic.unmeasured(self._request(chosen))
        question = _(
            "{count} of {total} levels were not measured with this model yet. Measure them now on {volume}? "
            "You can go on working meanwhile, and cancel at any time."
        ).format(count=len(unknown), total=len(LEVELS), volume=chosen.volume.GetName())
        if unknown and slicer.util.confirmYesNoDisplay(question, _("TuckerSeg")):
            steps = self.logic.segmenting.measure(chosen.volume, self._request(chosen), unknown)
            self._start(steps, lambda _nothing: self.showTradeOff())
        else:
            self.showTradeOff()

    def showTradeOff(self) -> None:
        chosen = self._parameters
        request = self._request(chosen)
        known = self.logic.measurements.of(setup_of(request))
        if not any(level.agreement is not None and level.seconds is not None for level in known):
            self._tell(_("No level was measured yet, so there is nothing to plot"))
            return
        title = models.model_of(chosen.model).title
        chart = fill_trade_off(chosen.trade_off, known, request.factor, title)
        self._choose(trade_off=chart)
        views.show_chart(chart)
        self._tell(_("The trade-off of the measured levels is plotted"))

    def onSample(self, _checked: bool = False) -> None:
        self._tell(_("Making the phantom CT"))
        self.ui.sampleButton.enabled = False
        try:
            node = self.logic.loadSample()
        except TuckerSegError as error:
            self._report(error)
            return
        finally:
            self.refresh()
        self._choose(volume=node)
        views.show_volume(node)
        self._tell(_("{name} is ready: press Segment").format(name=node.GetName()))

    def onBrowseFolder(self) -> None:
        title = _("Folder of a trained nnU-Net (the one with plans.json)")
        self._use(qt.QFileDialog.getExistingDirectory(self.parent, title))

    def onBrowseFile(self) -> None:
        title = _("Compressed model")
        kinds = _("Compressed models") + f" (*{models.SUFFIX})"
        self._use(qt.QFileDialog.getOpenFileName(self.parent, title, "", kinds))

    def _use(self, path: str) -> None:
        if path:
            self._choose(model=models.remember(Path(path)).key, structures=())
            self._modelList.fill(models.offered_models())
            self.refresh()

    def onInstall(self, _checked: bool = False) -> None:
        question = (
            packages.describe(self._missing)
            + "\n\n"
            + _(
                "Install them into 3D Slicer's Python now? This downloads from the internet and takes several minutes. "
                "What 3D Slicer brings is not replaced."
            )
        )
        details = "\n".join(f"{package.requirement}: {package.megabytes} MB" for package in self._missing)
        if not slicer.util.confirmOkCancelDisplay(question, _("TuckerSeg"), detailedText=details):
            return
        try:
            with slicer.util.WaitCursor():
                packages.install(self._missing)
        except TuckerSegError as error:
            self._report(error)
        self.enter()

    # The worker's cache and what levels cost.

    def onAdvancedCollapsed(self, collapsed: bool) -> None:
        if not collapsed and not self._missing:
            self.logic.ask("cache_info", self.showCache)

    def showCache(self, answer: dict[str, Any]) -> None:
        self.ui.cacheLabel.text = _("{size} MB of at most {limit} GB").format(
            size=f"{answer['size'] / 1e6:.0f}", limit=f"{answer['limit'] / 1e9:g}"
        )
        self.ui.cacheLabel.toolTip = _("Compressed networks are kept in {folder}").format(folder=answer["folder"])

    def onClearCache(self, _checked: bool = False) -> None:
        self.logic.ask("cache_clear", self.onCacheCleared)

    def onCacheCleared(self, answer: dict[str, Any]) -> None:
        self.log(_("The cache was cleared, which freed {size} MB").format(size=f"{answer['freed'] / 1e6:.0f}"))
        self.logic.ask("cache_info", self.showCache)

    def _askForCosts(self) -> None:
        """What levels of this model save is known to the worker, which opens the model for it."""
        model = self._parameters.model if self._parameters else ""
        if model and not self._missing and self._entered and model not in self._costs:
            self._costs[model] = {}
            self.logic.ask("levels", lambda answer: self.onCosts(model, answer), model=model)

    def _askForComputer(self) -> None:
        """Which devices and engines there are is known to the worker, which has PyTorch."""
        if not self._missing and not self._computerKnown:
            self.logic.ask("ping", self.onComputer)

    def onComputer(self, answer: dict[str, Any]) -> None:
        self._computerKnown = True
        self._deviceList.offer(answer["devices"])
        self._engineList.offer(answer["engines"])

    def onCosts(self, model: str, answer: dict[str, Any]) -> None:
        costs = [Cost.of(level) for level in answer["levels"]]
        self._costs[model] = {cost.factor: cost for cost in costs}
        self.refresh()

    # Runs.

    def _start(self, steps: Steps, finished: Callable[[Any], None]) -> None:
        self.ui.progressBar.value = 0
        run = Run(steps, [self._parameters.volume])
        self.logic.start(Listener(run, self.onProgress, lambda result: self._end(finished, result), self.onFailed))
        self.refresh()

    def _end(self, finished: Callable[[Any], None], result: Any) -> None:
        self.refresh()
        if self._parameters is not None:
            finished(result)

    def onProgress(self, advance: Advance) -> None:
        self.ui.progressBar.value = int(1000 * advance.fraction)
        self._showStatus(stages.describe(advance))

    def onFailed(self, error: BaseException) -> None:
        self.refresh()
        if isinstance(error, Cancelled):
            self._tell(str(error))
        else:
            self._report(error)

    def _showStatus(self, text: str) -> None:
        self.ui.statusLabel.text = text
        self.ui.statusLabel.visible = True

    def _tell(self, text: str) -> None:
        self._showStatus(text)
        self.log(text)

    def log(self, text: str) -> None:
        self.ui.logText.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")

    def _report(self, error: BaseException) -> None:
        """One sentence in a dialog; what a developer needs stands behind its button for details."""
        self._tell(str(error))
        details = getattr(error, "details", "") or self.logic.client.log_tail()
        more = {"detailedText": details} if details else {}
        slicer.util.errorDisplay(str(error), _("TuckerSeg"), **more)


class TuckerSegLogic(ScriptedLoadableModuleLogic):
    """Segments volumes of the scene through a worker process; usable without the panel.

    logic = TuckerSegLogic()
    segmentation = logic.process(volumeNode, model="sample", factor=0.3)
    logic.close()
    """

    def __init__(self, client: Client | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.client = client or Client()
        self.measurements = Measurements(
            lambda: settings.read(measurements.SETTING), lambda text: settings.write(measurements.SETTING, text)
        )
        self.segmenting = Segmenting(self.client, self.measurements)
        self._run: Run | None = None
        self._runner = Runner()

    def process(
        self,
        volumeNode: "slicer.vtkMRMLScalarVolumeNode",
        segmentationNode: "slicer.vtkMRMLSegmentationNode | None" = None,
        model: str = "sample",
        factor: float = 1.0,
        device: str = "auto",
        engine: str = "auto",
        structures: Sequence[str] = (),
        standardNames: bool = False,
        exactRanks: bool = False,
        allFrames: bool = False,
        fitToScan: bool = False,
        progress: Callable[[Advance], None] | None = None,
        finished: Callable[["slicer.vtkMRMLSegmentationNode"], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> Any:
        """Segments `volumeNode` into `segmentationNode`, or into a new node.

        Without `finished` it blocks, while the application goes on processing events, and returns the segmentation
        node. With it, a `Run` is returned at once, and `finished` or `failed` is called later.

        Args:
            model: "sample", a task of TotalSegmentator, a trained nnU-Net folder, or a `.tuckerseg` file.
            factor: share of each layer's channels kept, in (0, 1]; 1 is the original network.
            structures: the ones to keep; all where it is empty.
            fitToScan: fit the compressed layers to this volume: minutes the first time, more accurate.
            progress: told the stage, the fraction of the whole and the seconds left.

        Raises:
            TuckerSegError: when blocking; the scene is then as it was.
        """
        request = Request(model, factor, device, engine, tuple(structures), exactRanks, fit_to_scan=fitToScan)
        steps = self.segmenting.segment_frames if allFrames else self.segmenting.segment
        run = Run(steps(volumeNode, segmentationNode, request, standardNames), [volumeNode] if volumeNode else [])
        if finished is None:
            self.start(Listener(run, progress or ignore))
            return self.wait(run).segmentation
        self.start(Listener(run, progress or ignore, lambda outcome: finished(outcome.segmentation), failed or ignore))
        return run

    def loadSample(self) -> "slicer.vtkMRMLScalarVolumeNode":
        """A phantom CT, made on the spot, as a new volume of the scene.

        Raises:
            TuckerSegError: the Python packages that make it are missing.
        """
        return sample.load_phantom()

    @property
    def busy(self) -> bool:
        """Whether something is being segmented."""
        return self._run is not None and not self._run.done

    def start(self, listener: Listener) -> None:
        """Starts a run, which goes on while the application does; one at a time.

        Raises:
            InputError: another one is going on.
        """
        if self.busy:
            raise InputError(_("A segmentation is running already: wait for it or cancel it."))
        self._run = listener.run
        self._runner.start(listener)

    def wait(self, run: Run) -> Any:
        """The run's result, once it is there; events are processed meanwhile.

        Raises:
            TuckerSegError: the run failed or was cancelled.
        """
        try:
            while not run.done:
                slicer.app.processEvents()
                self._runner.poll()
                time.sleep(SECONDS_BETWEEN_POLLS)
        finally:
            run.cancel()  # nothing happens where it is done
        return run.result()

    def cancel(self) -> None:
        """Stop what is being segmented, if anything is; the scene stays as it was."""
        if self.busy:
            self._run.cancel()
            self._runner.poll()

    def ask(self, method: str, finished: Callable[[Any], None], **arguments: Any) -> None:
        """One of the worker's other methods, such as "levels"; where that fails, nobody is told."""
        self._runner.start(Listener(Run(self._call(method, arguments)), finished=finished))

    def unmeasured(self, request: Request) -> list[float]:
        """The published levels whose time or agreement is not known."""
        known = {
            level.factor
            for level in self.measurements.of(setup_of(request))
            if level.seconds is not None and level.agreement is not None
        }
        return [factor for factor in LEVELS if factor not in known]

    def close(self) -> None:
        """Ends the worker and whatever it is doing; a later call starts a new one."""
        self.cancel()
        self._runner.forget()
        self.client.close()

    def _call(self, method: str, arguments: dict[str, Any]) -> Steps:
        return (yield Step(self.client.call(method, **arguments)))


def _firstVolume() -> Any:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)


def _isOf(segmentationNode: Any, volumeNode: Any) -> bool:
    if segmentationNode is None or volumeNode is None:
        return False
    role = segmentationNode.GetReferenceImageGeometryReferenceRole()
    return segmentationNode.GetNodeReference(role) in (None, volumeNode)


def _millilitres(volumeNode: Any) -> float | None:
    """The size of the whole image, by which expected seconds are scaled."""
    if volumeNode is None or volumeNode.GetImageData() is None:
        return None
    return float(np.prod(volumeNode.GetImageData().GetDimensions()) * np.prod(volumeNode.GetSpacing()) / 1000)


class TuckerSegTest(ScriptedLoadableModuleTest):
    """Needs nothing but the sample: run by Testing/tools/run_in_slicer.sh, or by the module's Reload and Test."""

    model = "sample"

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_TuckerSeg1()

    def test_TuckerSeg1(self) -> None:
        logic = TuckerSegLogic()
        try:
            volume = logic.loadSample()
            self.segmentsAtTwoLevels(logic, volume)
            self.cancellingLeavesTheSceneAsItWas(logic, volume)
            self.comparesWithTheOriginal(logic, volume)
        finally:
            logic.close()

    def segmentsAtTwoLevels(self, logic: "TuckerSegLogic", volume: Any) -> None:
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

    def cancellingLeavesTheSceneAsItWas(self, logic: "TuckerSegLogic", volume: Any) -> None:
        before = slicer.mrmlScene.GetNumberOfNodes()
        run = logic.process(volume, model=self.model, finished=self.fail)
        run.cancel()
        with self.assertRaises(Cancelled):
            logic.wait(run)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def comparesWithTheOriginal(self, logic: "TuckerSegLogic", volume: Any) -> None:
        run = Run(logic.segmenting.compare(volume, None, None, Request(self.model, 0.5), False), [volume])
        logic.start(Listener(run))
        compared = logic.wait(run)
        columns = [compared.table.GetColumnName(index) for index in range(compared.table.GetNumberOfColumns())]
        self.assertEqual(columns, ["Structure", "Dice", "Volume", "Original volume"])
        self.assertTrue(0 <= compared.agreement <= 1)

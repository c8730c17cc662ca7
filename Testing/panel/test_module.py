"""The panel, used as a person uses it: on the real scene and real widgets, by the host in `slicerhost`."""

import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicerhost
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.progress import Progress

MODULE = ROOT / "TuckerSeg" / "TuckerSeg.py"
CHECKER = ROOT.parent / "shared" / "tools" / "check_scripted_module.py"
STRUCTURES = ["liver", "spleen", "kidney_left", "kidney_right"]
FEW, MANY = (24, 24, 24), (72, 72, 72)
"""Voxels (K, J, I) of a volume that is segmented at once, and of one that takes some seconds."""
PATIENCE = 120.0
CHECK_ALL = """
import contextlib, runpy, sys
checker, *files = sys.argv[1:]
for file in files:
    sys.argv = [checker, file]
    with contextlib.suppress(SystemExit):
        runpy.run_path(checker)
"""
SMALL_PHANTOM = """
import sys
import numpy
numpy.savez(sys.argv[2], voxels=numpy.full((8, 9, 10), -1024, "int16"), ijk_to_ras=numpy.diag([-2.0, -2.0, 3.0, 1.0]))
"""

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


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
        yield running
        running.quit()


@pytest.fixture(scope="module")
def loaded(host: Any) -> Iterator[Any]:
    yield host.load_module(MODULE)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch, loaded: Any) -> dict[str, str]:
    """The application's settings, empty at first."""
    kept: dict[str, str] = {}
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
    if hasattr(slicer_namespace(), "app"):
        loaded.logic.cancel()
        loaded.enter()
    assert not host.unexpected, "\n".join(host.unexpected)
    for record in (host.violations, host.errors, host.dialogs, host.answers):
        record.clear()


def slicer_namespace() -> Any:
    import slicer

    return slicer


def part(name: str) -> Any:
    """One of the files the module is made of, which are found once the host has loaded it."""
    return importlib.import_module(f"TuckerSegPanel.{name}")


def parameters(panel: Any) -> Any:
    return part("choices.parameters").Parameters(panel.logic.getParameterNode())


def add_volume(shape: tuple[int, int, int] = FEW, name: str = "CT") -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    voxels = np.random.default_rng(0).normal(0, 300, shape).astype(np.int16)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetSpacing(1.5, 1.5, 1.5)
    return node


def count(kind: str) -> int:
    import slicer

    return int(slicer.mrmlScene.GetNumberOfNodesByClass(kind))


def segmentations() -> list[Any]:
    import slicer

    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


def names_of(segmentation: Any) -> list[str]:
    found = segmentation.GetSegmentation()
    return [found.GetNthSegment(index).GetName() for index in range(found.GetNumberOfSegments())]


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


class TestSegment:
    def test_without_a_volume_the_panel_says_what_to_do(self, panel: Any) -> None:
        assert not panel.ui.applyButton.enabled
        assert panel.ui.applyButton.toolTip == "Choose an input volume first"

    def test_volume_level_segment(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        volume = add_volume()
        host.choose(panel.ui.inputSelector, volume)
        host.drag(panel.ui.levelSlider, 3)
        said = segment()
        (segmentation,) = segmentations()
        assert set(names_of(segmentation)) <= set(STRUCTURES)
        assert said.startswith(f"{len(names_of(segmentation))} structures in")
        assert panel.ui.outputSelector.currentNode() is segmentation
        assert parameters(panel).factor == 0.5

    def test_progress_is_shown_while_it_runs(self, host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
        start_long_run()
        assert panel.ui.applyButton.text == "Cancel"
        assert panel.ui.progressBar.visible
        assert host.wait_until(lambda: "left" in panel.ui.statusLabel.text, PATIENCE)
        assert 0 < panel.ui.progressBar.value < panel.ui.progressBar.maximum

    def test_cancel_leaves_the_scene_as_it_was(
        self, host: Any, panel: Any, start_long_run: Callable[[], None], segment: Callable[[], str]
    ) -> None:
        start_long_run()
        host.click(panel.ui.applyButton)
        assert panel.ui.statusLabel.text == "The segmentation was cancelled."
        assert panel.ui.applyButton.text == "Segment"
        assert segmentations() == []
        host.choose(panel.ui.inputSelector, add_volume())
        assert "structures in" in segment()

    def test_next_level_runs_in_the_same_process_into_the_same_node(
        self, host: Any, panel: Any, segment: Callable[[], str]
    ) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        worker = panel.logic.client.pid
        host.drag(panel.ui.levelSlider, 7)
        segment()
        assert panel.logic.client.pid == worker
        assert len(segmentations()) == 1

    def test_segmentation_of_another_volume_is_not_overwritten(
        self, host: Any, panel: Any, segment: Callable[[], str]
    ) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        host.choose(panel.ui.inputSelector, add_volume(name="Second"))
        segment()
        assert [node.GetName() for node in segmentations()] == ["CT segmentation", "Second segmentation"]

    def test_application_goes_on_while_it_runs(self, host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
        import slicer

        start_long_run()
        for _ in range(20):
            slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
            host.process_events()
        assert panel.logic.busy

    def test_ticked_structures_alone_are_kept(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.click(panel.ui.advancedCollapsibleButton)
        host.type(panel.ui.structuresSearchBox, "kidney")
        rows = [panel.ui.structuresList.item(row) for row in range(panel.ui.structuresList.count)]
        assert [item.text() for item in rows if not item.isHidden()] == ["kidney_left", "kidney_right"]
        rows[2].setCheckState(_qt().Checked)
        assert parameters(panel).structures == ("kidney_left",)
        segment()
        assert set(names_of(segmentations()[0])) <= {"kidney_left"}
        host.click(panel.ui.allStructuresButton)
        assert parameters(panel).structures == ()
        host.click(panel.ui.advancedCollapsibleButton)

    def test_standard_names(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        parameters(panel).standard_names = True
        segment()
        assert not any("_" in name for name in names_of(segmentations()[0]))


class TestInterruptions:
    def test_closing_the_scene(self, host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
        start_long_run()
        host.close_scene()
        assert not panel.logic.busy
        assert segmentations() == []
        assert panel.ui.inputSelector.currentNode() is None

    def test_deleting_the_volume(self, host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
        import slicer

        start_long_run()
        slicer.mrmlScene.RemoveNode(panel.ui.inputSelector.currentNode())
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert panel.ui.statusLabel.text == "Large was deleted, so its segmentation was cancelled."
        assert segmentations() == []

    def test_deleting_the_output_makes_a_new_one(
        self, host: Any, panel: Any, segment: Callable[[], str], start_long_run: Callable[[], None]
    ) -> None:
        import slicer

        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        host.click(panel.ui.applyButton)
        slicer.mrmlScene.RemoveNode(segmentations()[0])
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert len(segmentations()) == 1

    def test_death_of_the_worker_is_one_dialog_and_the_next_run_works(
        self, host: Any, panel: Any, start_long_run: Callable[[], None], segment: Callable[[], str]
    ) -> None:
        start_long_run()
        os.kill(panel.logic.client.pid, signal.SIGKILL)
        assert host.wait_until(lambda: bool(host.dialogs), PATIENCE)
        (dialog,) = host.dialogs
        assert dialog.kind == "error"
        assert "worker was killed" in dialog.text
        assert "Traceback" not in dialog.text
        assert segmentations() == []
        host.choose(panel.ui.inputSelector, add_volume())
        assert "structures in" in segment()

    def test_switching_to_another_module_lets_the_run_end(
        self, host: Any, panel: Any, segment: Callable[[], str]
    ) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.click(panel.ui.applyButton)
        panel.switch_away()
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert len(segmentations()) == 1
        panel.enter()
        assert panel.ui.outputSelector.currentNode() is segmentations()[0]

    def test_reloading_the_module_ends_the_worker(
        self, host: Any, panel: Any, start_long_run: Callable[[], None], segment: Callable[[], str]
    ) -> None:
        start_long_run()
        worker = panel.logic.client.pid
        panel.reload()
        panel.widget.enter()
        assert not is_running(worker)
        assert segmentations() == []
        host.choose(panel.ui.inputSelector, add_volume())
        assert "structures in" in segment()

    def test_volume_that_cannot_be_segmented_is_one_sentence(
        self, host: Any, panel: Any, segment: Callable[[], str]
    ) -> None:
        import slicer

        volume = add_volume()
        slicer.util.updateVolumeFromArray(volume, np.full(FEW, np.nan, np.float32))
        host.choose(panel.ui.inputSelector, volume)
        segment()
        (dialog,) = host.dialogs
        assert dialog.text.startswith("The image has NaN or infinite voxels")
        assert segmentations() == []


class TestScene:
    def test_choices_survive_saving_and_loading(self, host: Any, panel: Any, tmp_path: Path) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 6)
        host.click(panel.ui.advancedCollapsibleButton)
        host.choose(panel.ui.deviceSelector, "CPU")
        host.click(panel.ui.standardNamesCheckBox)
        chosen = parameters(panel).model
        host.save_scene(tmp_path / "scene.mrml")
        host.close_scene()
        assert parameters(panel).factor == 1.0
        host.load_scene(tmp_path / "scene.mrml")
        assert panel.ui.inputSelector.currentNode().GetName() == "CT"
        assert panel.ui.levelSlider.value == 6
        assert panel.ui.deviceSelector.currentText == "CPU"
        assert panel.ui.standardNamesCheckBox.checked
        assert parameters(panel).model == chosen
        host.click(panel.ui.advancedCollapsibleButton)

    def test_scripts_change_the_panel(self, host: Any, panel: Any) -> None:
        node = panel.logic.getParameterNode()
        node.SetParameter("Factor", "0.1")
        node.SetParameter("Engine", "torch")
        assert panel.ui.levelSlider.value == 7
        assert panel.ui.engineSelector.currentText == "PyTorch"
        node.SetParameter("Factor", "0.35")
        assert panel.ui.savingsLabel.text.startswith("DF 0.35")

    def test_devices_and_engines_are_those_of_this_computer(self, host: Any, panel: Any) -> None:
        from importlib.util import find_spec

        import torch

        told: list[Any] = []
        panel.logic.ask("ping", told.append)
        assert host.wait_until(lambda: bool(told), PATIENCE)
        engines = panel.ui.engineSelector
        devices = [panel.ui.deviceSelector.itemText(index) for index in range(panel.ui.deviceSelector.count)]
        assert devices[:2] == ["Automatic", "CPU"]
        assert ("NVIDIA GPU (CUDA)" in devices) == torch.cuda.is_available()
        offered = [engines.itemText(index) for index in range(engines.count)]
        assert "PyTorch" in offered and ("OpenVINO" in offered) == (find_spec("openvino") is not None)

    def test_device_of_another_computer_is_named(self, panel: Any) -> None:
        panel.widget.panel.advanced.take({"devices": ["auto", "cpu"], "engines": ["auto", "torch"]})
        parameters(panel).device = "cuda"
        assert panel.ui.deviceSelector.currentText == "NVIDIA GPU (CUDA) (not on this computer)"

    def test_unknown_values_fall_back(self, host: Any, panel: Any) -> None:
        node = panel.logic.getParameterNode()
        for name, value in (("Factor", "7"), ("Device", "toaster"), ("Structures", "{"), ("AllFrames", "perhaps")):
            node.SetParameter(name, value)
        chosen = parameters(panel)
        assert (chosen.factor, chosen.device, chosen.structures, chosen.all_frames) == (1.0, "auto", (), False)

    def test_model_of_another_computer_is_named(self, panel: Any) -> None:
        parameters(panel).model = "/elsewhere/lungs"
        assert panel.ui.modelSelector.currentText == "lungs (not on this computer)"


class TestModels:
    def test_searching_by_a_part_of_the_name(self, host: Any, panel: Any) -> None:
        host.type(panel.ui.modelSelector, "sampl")
        host.press(panel.ui.modelSelector.lineEdit(), _qt().Key_Return)
        assert parameters(panel).model == "sample"
        assert panel.ui.modelSelector.currentText.startswith("Sample")

    def test_browsing_for_a_folder(self, host: Any, panel: Any, model: str, remembered: dict[str, str]) -> None:
        host.choose(panel.ui.modelSelector, 0)
        host.answer_next(model)
        panel.widget.panel.model.browse_folder()
        assert parameters(panel).model == model
        titles = [panel.ui.modelSelector.itemText(index) for index in range(panel.ui.modelSelector.count)]
        assert titles[:3] == ["Sample: torso CT", "Phantom (3d_fullres)", "TotalSegmentator total (to be downloaded)"]

    def test_weights_are_downloaded_when_the_user_agrees(
        self, host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def install(task: Any, progress: Progress) -> None:
            progress.stage("download")
            progress.step(1, 2)
            asked.append(task.name)

        monkeypatch.setattr("TuckerSegLib.models.totalsegmentator.download.install", install)
        host.choose(panel.ui.inputSelector, add_volume())
        parameters(panel).model = "total-fast"
        host.answer_next(False)
        host.click(panel.ui.applyButton)
        assert asked == []
        host.answer_next(True)
        host.click(panel.ui.applyButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events(100)
        assert asked == ["total-fast"]
        assert panel.ui.statusLabel.text == "The weights were downloaded: press Segment"

    def test_total_segmentator_is_found(self, panel: Any, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        installed_models = part("choices.models").installed_models

        monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(Path(model).parents[1]))
        assert [found.key for found in installed_models()] == ["sample", model]

    def test_costs_of_the_level_are_told(self, host: Any, panel: Any) -> None:
        host.drag(panel.ui.levelSlider, 5)
        assert host.wait_until(lambda: "FLOPs removed" in panel.ui.savingsLabel.text, PATIENCE)
        assert "up to" in panel.ui.savingsLabel.text
        assert panel.ui.expectedLabel.text == "Expected: time unknown, agreement unknown"
        parameters(panel).exact_ranks = True
        assert "up to" not in panel.ui.savingsLabel.text

    def test_fitting_to_the_scan_is_remembered_and_asked_for(self, panel: Any) -> None:
        panel.ui.fitToScanCheckBox.checked = True

        assert parameters(panel).fit_to_scan
        assert panel.widget.panel.choices.request.fit_to_scan

    def test_agreement_on_phantoms_is_called_that(self, host: Any, panel: Any, model: str) -> None:
        host.drag(panel.ui.levelSlider, 5)
        panel.widget.panel.level.take(
            model,
            {"levels": [{"factor": 0.3, "parameters_removed": 0.9, "flops_removed": 0.8, "agreement": 0.62}]},
        )
        assert panel.ui.expectedLabel.text == "Expected: time unknown, agreement 0.62 (phantoms)"
        remember(panel, model, [0.3])
        panel.widget.panel.refresh()
        assert panel.ui.expectedLabel.text.endswith("agreement 0.30 (poor)")

    def test_compressed_model_has_one_level(self, host: Any, panel: Any, model: str, tmp_path: Path) -> None:
        from TuckerSegLib.decomposition.policies import Relative
        from TuckerSegLib.models.compressed import compressed, save
        from TuckerSegLib.models.opening import open_model

        save(compressed(open_model(model), Relative(0.5)), tmp_path / "small.tuckerseg")
        parameters(panel).model = str(tmp_path / "small.tuckerseg")
        assert not panel.ui.levelSlider.enabled
        assert host.wait_until(lambda: panel.ui.savingsLabel.text.startswith("DF 0.5"), PATIENCE)
        assert panel.ui.structuresList.count == len(STRUCTURES)


class TestMeasuring:
    def test_measuring_fills_the_line(self, host: Any, panel: Any) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 3)
        host.click(panel.ui.measureButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert "unknown" not in panel.ui.expectedLabel.text
        assert segmentations() == []

    def test_comparison_is_a_typed_table(self, host: Any, panel: Any) -> None:
        import vtk

        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 3)
        host.click(panel.ui.compareButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        table = parameters(panel).comparison
        columns = [table.GetTable().GetColumn(index) for index in range(table.GetNumberOfColumns())]
        assert [column.GetName() for column in columns] == ["Structure", "Dice", "Volume", "Original volume"]
        assert isinstance(columns[0], vtk.vtkStringArray)
        assert all(isinstance(column, vtk.vtkDoubleArray) for column in columns[1:])
        assert table.GetColumnUnitLabel("Volume") == "ml"
        assert set(table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())) <= set(STRUCTURES)
        assert len(segmentations()) == 1

    def test_comparison_is_for_compressed_levels(self, host: Any, panel: Any) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 0)
        assert not panel.ui.compareButton.enabled

    def test_trade_off_is_a_chart_with_the_chosen_level_marked(self, host: Any, panel: Any, model: str) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 5)
        remember(panel, model, [1.0, 0.9, 0.7, 0.5, 0.2, 0.1, 0.05])
        host.answer_next(True)
        host.click(panel.ui.tradeOffButton)
        assert host.wait_until(lambda: parameters(panel).trade_off is not None, PATIENCE)
        chart = parameters(panel).trade_off
        levels, chosen = (chart.GetNthPlotSeriesNode(index).GetTableNode() for index in range(2))
        assert levels.GetNumberOfRows() == 9
        assert chosen.GetCellText(0, 0) == "DF 0.3"
        nodes = count("vtkMRMLTableNode"), count("vtkMRMLPlotSeriesNode")
        host.drag(panel.ui.levelSlider, 4)
        host.click(panel.ui.tradeOffButton)
        assert chosen.GetCellText(0, 0) == "DF 0.4"
        assert (count("vtkMRMLTableNode"), count("vtkMRMLPlotSeriesNode")) == nodes

    def test_without_measurements_there_is_nothing_to_plot(self, host: Any, panel: Any) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.answer_next(False)
        host.click(panel.ui.tradeOffButton)
        assert panel.ui.statusLabel.text.startswith("No level was measured yet")
        assert count("vtkMRMLPlotChartNode") == 0


class TestSequences:
    def test_option_is_for_sequences(self, host: Any, panel: Any) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        assert not panel.ui.allFramesCheckBox.enabled
        assert panel.ui.allFramesCheckBox.toolTip == "The input volume is not part of a sequence"

    def test_all_frames_play_with_the_volume(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        volume, browser = add_sequence(3)
        host.choose(panel.ui.inputSelector, volume)
        parameters(panel).all_frames = True
        segment()
        (segmentation,) = segmentations()
        frames = browser.GetSequenceNode(segmentation)
        assert frames.GetNumberOfDataNodes() == 3
        assert [frames.GetNthIndexValue(index) for index in range(3)] == ["0", "1", "2"]
        segment()
        assert browser.GetSequenceNode(segmentation) is frames
        assert len(segmentations()) == 1


class TestPackages:
    def test_missing_packages_are_named_with_their_size(self, host: Any, panel: Any) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        without(host, panel, "tensorly", "safetensors")
        assert panel.ui.packagesFrame.visible
        assert "tensorly, safetensors (about 12 MB)" in panel.ui.packagesLabel.text
        assert not panel.ui.applyButton.enabled
        assert panel.ui.applyButton.toolTip == "Install the missing Python packages first"

    def test_declined_installation_changes_nothing(self, host: Any, panel: Any) -> None:
        without(host, panel, "tensorly")
        host.answer_next(False)
        host.click(panel.ui.installButton)
        assert host.installs == []
        assert panel.ui.packagesFrame.visible

    def test_installation_on_consent(self, host: Any, panel: Any) -> None:
        without(host, panel, "tensorly")
        host.answer_next(True)
        host.click(panel.ui.installButton)
        assert host.installs == [["tensorly>=0.9"]]
        assert not panel.ui.packagesFrame.visible
        host.installs.clear()

    def test_what_slicer_brings_is_held(self, panel: Any) -> None:
        kept_versions = part("choices.packages").kept_versions

        held = {line.partition("==")[0] for line in kept_versions()}
        assert {"numpy", "vtk", "requests", "torch"} <= held

    def test_pytorch_without_its_extension_is_one_sentence(self, host: Any, panel: Any) -> None:
        without(host, panel, "torch")
        host.answer_next(True)
        host.click(panel.ui.installButton)
        assert host.dialogs[-1].text.startswith("PyTorch is missing: install the PyTorch extension")
        without(host, panel)


class TestScripts:
    def test_blocking(self, host: Any, panel: Any, model: str) -> None:
        node = panel.logic.process(add_volume(), model=model, factor=0.5, device="cpu")
        assert set(names_of(node)) <= set(STRUCTURES)

    def test_with_callbacks(self, host: Any, panel: Any, model: str) -> None:
        finished: list[Any] = []
        advances: list[Any] = []
        panel.logic.process(add_volume(), model=model, factor=0.5, finished=finished.append, progress=advances.append)
        assert host.wait_until(lambda: bool(finished), PATIENCE)
        assert finished == segmentations()
        assert advances

    def test_errors_are_raised(self, panel: Any, model: str) -> None:
        from TuckerSegLib.errors import InputError

        with pytest.raises(InputError, match="No volume is chosen"):
            panel.logic.process(None, model=model)
        with pytest.raises(InputError, match="outside"):
            panel.logic.process(add_volume(), model=model, factor=2.0)

    def test_one_run_at_a_time(self, panel: Any, model: str) -> None:
        from TuckerSegLib.errors import InputError

        panel.logic.process(add_volume(MANY), model=model, finished=print)
        with pytest.raises(InputError, match="running already"):
            panel.logic.process(add_volume(), model=model)
        panel.logic.cancel()

    def test_documented_examples_run(self, host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("TuckerSegPanel.runs.phantom._PROGRAM", SMALL_PHANTOM)
        text = (ROOT / "docs" / "slicer.md").read_text()
        examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        names: dict[str, Any] = {}
        for example in examples:
            exec(compile(example, "docs/slicer.md", "exec"), names)
        assert len(examples) == 2
        assert names["segmentation"] in segmentations()
        assert names["run"].cancelled
        names["logic"].close()


class TestSample:
    def test_button_makes_a_phantom(self, host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("TuckerSegPanel.runs.phantom._PROGRAM", SMALL_PHANTOM)
        host.click(panel.ui.sampleButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        volume = panel.ui.inputSelector.currentNode()
        assert volume.GetName() == "TuckerSegPhantom"
        assert volume.GetImageData().GetDimensions() == (10, 9, 8)
        assert volume.GetSpacing() == (2.0, 2.0, 3.0)
        assert not panel.ui.sampleButton.visible

    def test_sample_data_module_offers_it(self, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        SampleData = importlib.import_module("SampleData")  # noqa: N806

        monkeypatch.setattr("TuckerSegPanel.runs.phantom._PROGRAM", SMALL_PHANTOM)
        (source,) = SampleData.SampleDataLogic.sampleDataSourcesByCategory("TuckerSeg")
        assert source.sampleDescription == "TuckerSegPhantom"
        made = source.customDownloader(source)  # as a click on it does
        assert made.GetImageData().GetDimensions() == (10, 9, 8)


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
        collapsibles = ("segmentationCollapsibleButton", "advancedCollapsibleButton", "logCollapsibleButton")
        silent = [c.objectName for c in named if not c.toolTip and c.objectName not in collapsibles]
        assert len(named) > 20
        assert silent == []

    @pytest.mark.skipif(not CHECKER.is_file(), reason="the checker of what PythonQt exposes is not beside the project")
    def test_uses_only_what_pythonqt_exposes(self) -> None:
        files = [MODULE, *sorted((MODULE.parent / "TuckerSegPanel").rglob("*.py"))]
        done = subprocess.run(
            [sys.executable, "-c", CHECK_ALL, CHECKER, *files], capture_output=True, text=True, check=True
        )
        assert set(done.stdout.splitlines()) == {"nothing found"}


def test_self_test_passes(loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a coarser model than the sample's, which needs the same steps and less time."""
    coarse = make_folder(tmp_path, labels=STRUCTURES, patch_size=(32, 32, 32), spacing=(8.0, 8.0, 8.0))
    monkeypatch.setattr(loaded.module.TuckerSegTest, "model", str(coarse))
    loaded.run_test(msec=0)


def test_quitting_during_a_run_leaves_no_process(host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
    """The last of all, as it ends the host."""
    start_long_run()
    worker = panel.logic.client.pid
    host.quit()
    assert not is_running(worker)
    assert not host.unexpected


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


def without(host: Any, panel: Any, *packages: str) -> None:
    """As on a computer that lacks these packages; the panel is opened anew."""
    host.missing_packages.clear()
    host.missing_packages.update(packages)
    panel.switch_away()
    panel.enter()


def remember(panel: Any, model: str, factors: list[float]) -> None:
    """As if these levels had been measured before."""
    setup = part("choices.measurements").Setup(model)
    for factor in factors:
        panel.logic.measurements.remember_time(setup, factor, 10 * factor, 1.0)
        panel.logic.measurements.remember_agreement(setup, factor, factor)


def add_sequence(frames: int) -> tuple[Any, Any]:
    """A volume that plays `frames` frames, and its browser."""
    import slicer

    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Cine")
    for index in range(frames):
        frame = add_volume()
        sequence.SetDataNodeAtValue(frame, str(index))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return browser.GetProxyNode(sequence), browser


def _qt() -> Any:
    return sys.modules["qt"].Qt


def _is_any(widget: Any, kinds: tuple[Any, ...]) -> bool:
    return any(kind in type(widget).__mro__ for kind in kinds)

"""The host runs a scripted module as the application would, and notices what the application would refuse."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.paths import DATA

_MISSING = slicerhost.missing_libraries()
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"Qt cannot be loaded: {_MISSING}")

EXAMPLE = Path(slicerhost.__file__).parent / "example" / "Threshold.py"
Snippet = Callable[[str], list[str]]


@pytest.fixture
def host() -> Iterator[Any]:
    running = slicerhost.start()
    yield running
    running.quit()


@pytest.fixture
def panel(host: Any) -> Any:
    handle = host.load_module(EXAMPLE)
    handle.enter()
    return handle


@pytest.fixture
def violations_of(host: Any, tmp_path: Path) -> Snippet:
    """What the host records while the body of a module's function runs."""

    def run(body: str) -> list[str]:
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        path = tmp_path / "snippet.py"
        path.write_text(f"import ctk, qt, slicer\nfrom slicer import *\ndef run():\n{lines}\n")
        names: dict[str, Any] = {"__name__": "snippet"}
        exec(compile(path.read_text(), str(path), "exec"), names)
        try:
            names["run"]()
        except Exception as error:
            print(repr(error))
        host.process_events()
        return list(host.violations)

    return run


# A person's gestures


def test_a_click_drags_and_typing_reach_the_parameter_node(host: Any, panel: Any) -> None:
    panel.module.ThresholdLogic.ramp()
    host.process_events()
    host.drag(panel.ui.thresholdSlider, 7)
    host.drag(panel.ui.fractionSlider, 0.8)
    host.click(panel.ui.advancedButton)
    host.type(panel.ui.nameEdit, "left kidney")
    host.choose(panel.ui.methodBox, "careful")
    host.click(panel.ui.invertCheckBox)
    node = panel.logic.getParameterNode()
    values = {name: node.GetParameter(name) for name in ("Threshold", "Name", "Method", "Invert")}
    assert values == {"Threshold": "7", "Name": "left kidney", "Method": "careful", "Invert": "true"}
    assert float(node.GetParameter("Fraction")) == pytest.approx(0.8)
    host.click(panel.ui.applyButton)
    assert panel.ui.resultLabel.text == "16 voxels"
    assert host.unexpected == []


def test_a_slider_can_be_moved_to_every_position_and_emits_on_the_way(host: Any, panel: Any) -> None:
    seen: list[int] = []
    panel.ui.thresholdSlider.connect("valueChanged(int)", seen.append)
    for value in (8, 0, 5):
        host.drag(panel.ui.thresholdSlider, value)
        assert panel.ui.thresholdSlider.value == value
    assert 4 in seen


def test_arrow_keys_move_a_slider(host: Any, panel: Any) -> None:
    import qt  # type: ignore[import-not-found]

    panel.ui.thresholdSlider.value = 3
    host.press(panel.ui.thresholdSlider, qt.Qt.Key_Right, times=2)
    assert panel.ui.thresholdSlider.value == 5


def test_nobody_can_press_what_is_disabled_or_hidden(host: Any, panel: Any) -> None:
    with pytest.raises(AssertionError, match="disabled"):
        host.click(panel.ui.applyButton)
    with pytest.raises(AssertionError, match="cannot be seen"):
        host.click(panel.ui.slowButton)


def test_waiting_lets_timers_run(host: Any, panel: Any) -> None:
    host.click(panel.ui.advancedButton)
    host.click(panel.ui.slowButton)
    assert host.wait_until(lambda: panel.ui.progressBar.value == 100, seconds=5)
    assert not host.wait_until(lambda: False, seconds=0.05)


def test_a_collapsible_button_hides_its_contents(host: Any, panel: Any) -> None:
    assert not panel.ui.nameEdit.visible
    host.click(panel.ui.advancedButton)
    assert panel.ui.nameEdit.visible
    host.click(panel.ui.advancedButton)
    assert not panel.ui.nameEdit.visible


def test_checkable_entries_are_checked_by_choosing_them(host: Any, panel: Any) -> None:
    host.click(panel.ui.advancedButton)
    box = panel.ui.structuresBox
    host.choose(box, "spleen")
    assert [index.data() for index in box.checkedIndexes()] == ["spleen"]
    host.choose(box, "spleen")
    assert box.noneChecked()


@pytest.mark.parametrize("width", [320, 420, 700])
def test_a_screenshot_has_the_width_asked_for(host: Any, panel: Any, tmp_path: Path, width: int) -> None:
    from PySide6.QtGui import QImage

    host.screenshot(panel.panel, tmp_path / "panel.png", width=width)
    image = QImage(str(tmp_path / "panel.png"))
    assert image.width() == width
    colors = {image.pixel(x, y) for x in range(0, width, 3) for y in range(0, image.height(), 3)}
    assert len(colors) > 10


# The scene


def test_node_selectors_follow_the_scene(host: Any, panel: Any) -> None:
    import slicer

    first = panel.module.ThresholdLogic.ramp()
    host.process_events()
    selector = panel.ui.inputSelector
    assert selector.currentNode() is first
    assert panel.ui.applyButton.enabled
    second = panel.module.ThresholdLogic.ramp()
    second.SetName("Second")
    host.choose(selector, "Second")
    assert selector.currentNodeID == second.GetID()
    slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is None
    assert selector.nodeCount() == 0


def test_a_selector_without_none_takes_the_first_node_and_may_be_emptied(host: Any, panel: Any) -> None:
    first = panel.module.ThresholdLogic.ramp()
    selector = panel.ui.inputSelector
    assert selector.currentNode() is first
    selector.setCurrentNode(None)
    panel.module.ThresholdLogic.ramp()
    assert selector.currentNode() is None


def test_a_selector_creates_renames_and_deletes_nodes(host: Any, panel: Any) -> None:
    selector = panel.ui.outputSelector
    assert selector.currentNode() is None
    host.choose(selector, "Create new Segmentation")
    assert selector.currentNode().GetName() == "Segmentation"
    host.answer_next("Organs")
    host.choose(selector, "Rename current Segmentation")
    assert selector.currentNode().GetName() == "Organs"
    host.choose(selector, "Organs")
    host.choose(selector, "Delete current Segmentation")
    assert selector.currentNode() is None


def test_a_saved_scene_brings_choices_and_voxels_back(host: Any, panel: Any, tmp_path: Path) -> None:
    import slicer

    panel.module.ThresholdLogic.ramp()
    host.process_events()
    host.drag(panel.ui.thresholdSlider, 6)
    host.save_scene(tmp_path / "scene" / "scene.mrml")
    host.close_scene()
    assert panel.ui.inputSelector.currentNode() is None
    assert panel.ui.thresholdSlider.value == 3
    host.load_scene(tmp_path / "scene" / "scene.mrml")
    assert panel.ui.thresholdSlider.value == 6
    node = panel.ui.inputSelector.currentNode()
    assert slicer.util.arrayFromVolume(node).max() == 23
    assert host.unexpected == []


def test_a_scene_saves_segmentations_and_tables(host: Any, tmp_path: Path) -> None:
    import numpy as np
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("liver", "liver")
    mask = np.ones((2, 3, 4), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, volume)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "T")
    slicer.util.updateTableFromArray(table, [np.array([1.0, 2.0])], ["Dice"])
    host.save_scene(tmp_path / "scene.mrml")
    host.load_scene(tmp_path / "scene.mrml")
    node = slicer.util.getNode("S")
    assert slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver").sum() == 24
    assert slicer.util.getNode("T").GetCellText(1, 0) == "2"


# The life of a module


def test_reloading_cleans_up_and_makes_a_new_widget(host: Any, panel: Any) -> None:
    old = panel.widget
    panel.module.ThresholdLogic.ramp()
    panel.reload()
    assert panel.widget is not old
    assert old.Observations == []
    host.drag(panel.ui.thresholdSlider, 8)
    assert panel.logic.getParameterNode().GetParameter("Threshold") == "8"
    assert host.unexpected == []


def test_leaving_and_entering_a_module(host: Any, panel: Any) -> None:
    panel.switch_away()
    assert panel.widget.node is None
    panel.enter()
    assert panel.widget.node is not None


def test_select_module_and_get_module(host: Any, panel: Any) -> None:
    import slicer

    panel.switch_away()
    slicer.util.selectModule("Threshold")
    assert slicer.util.selectedModule() == "Threshold"
    assert panel.entered
    assert slicer.util.getModuleWidget("Threshold") is panel.widget
    assert slicer.util.getModuleLogic("Threshold") is panel.logic
    assert slicer.modules.threshold.path == str(EXAMPLE)
    assert "Threshold" in slicer.util.moduleNames()
    assert slicer.moduleNames.Threshold == "Threshold"


def test_the_self_test_runs_on_sample_data(host: Any, panel: Any) -> None:
    import slicer

    assert [s.sampleName for s in slicer.modules.sampleDataSources["Examples"]] == ["Ramp"]
    panel.run_test()
    assert host.unexpected == []


def test_quitting_cleans_up_and_the_next_start_is_empty() -> None:
    import slicer

    first = slicerhost.start()
    assert slicerhost.start() is first
    panel = first.load_module(EXAMPLE)
    panel.enter()
    widget, told = panel.widget, []
    slicer.app.connect("aboutToQuit()", lambda: told.append("bye"))
    first.quit()
    assert told == ["bye"]
    assert widget.Observations == []
    assert not hasattr(slicer, "app")
    second = slicerhost.start()
    assert second is not first
    assert not hasattr(slicer.modules, "threshold")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 0
    second.quit()


# Dialogs and packages


def test_errors_in_a_run_become_one_dialog_with_details(host: Any, panel: Any) -> None:
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    host.click(panel.ui.applyButton)
    (dialog,) = host.dialogs
    assert dialog.kind == "error"
    assert dialog.text == "Counting failed.\n\nThe volume has no voxels"
    assert "ValueError" in dialog.details
    assert "ValueError" in host.errors[0]
    assert host.violations == []


def test_questions_are_declined_unless_a_test_answers(host: Any) -> None:
    import slicer

    assert not slicer.util.confirmOkCancelDisplay("Download 2 GB?")
    host.answer_next(True, False, True)
    assert slicer.util.confirmOkCancelDisplay("Download 2 GB?")
    assert not slicer.util.confirmYesNoDisplay("Sure?")
    assert slicer.util.confirmYesNoDisplay("Sure?")
    slicer.util.infoDisplay("Done", windowTitle="TuckerSeg")
    assert [d.kind for d in host.dialogs] == ["question"] * 4 + ["info"]
    assert host.dialogs[-1].title == "TuckerSeg"


def test_in_testing_mode_slicer_shows_no_dialogs(host: Any) -> None:
    import slicer

    host.testing = True
    slicer.util.errorDisplay("Failed")
    slicer.util.confirmOkCancelDisplay("Download 2 GB?")
    assert host.dialogs == []


def test_file_dialogs_give_a_plain_string(host: Any) -> None:
    import qt

    assert qt.QFileDialog.getOpenFileName(None, "Model", "", "nnU-Net (*.zip)") == ""
    host.answer_next("/models/a.tuckerseg", "/models")
    assert qt.QFileDialog.getOpenFileName(None, "Model", "") == "/models/a.tuckerseg"
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == "/models"


def test_a_dialog_of_the_modules_own_is_given_to_the_test(host: Any) -> None:
    import qt

    dialog = qt.QDialog()
    box = qt.QCheckBox("Agree", dialog)
    button = qt.QPushButton("Go on", dialog)
    qt.QVBoxLayout(dialog).addWidget(box)
    dialog.layout().addWidget(button)
    button.connect("clicked()", dialog.accept)

    def agree(shown: Any) -> None:
        host.click(box)
        host.click(button)

    host.answer_next(agree)
    assert dialog.exec_() == qt.QDialog.Accepted
    assert box.checked


@pytest.mark.parametrize("with_packaging", [True, False])
def test_packages_are_installed_on_paper_only(with_packaging: bool) -> None:
    import slicer

    host = slicerhost.start(packaging=with_packaging)
    try:
        host.missing_packages.add("nnunetv2")
        assert hasattr(slicer, "packaging") == with_packaging
        slicer.util.pip_install(["tensorly>=0.9"])
        if with_packaging:
            with pytest.raises(RuntimeError, match="declined"):
                slicer.packaging.pip_ensure(["nnunetv2"], requester="TuckerSeg")
            host.answer_next(True)
            slicer.packaging.pip_ensure(["nnunetv2"], requester="TuckerSeg")
            assert "TuckerSeg needs: nnunetv2" in host.dialogs[0].text
        assert host.installs == [["tensorly>=0.9"], ["nnunetv2"]][: 1 + with_packaging]
    finally:
        host.quit()


@pytest.mark.parametrize("installed", [True, False])
def test_the_pytorch_extension_is_there_or_not(installed: bool) -> None:
    host = slicerhost.start(pytorch=installed)
    try:
        if installed:
            import PyTorchUtils  # type: ignore[import-not-found]

            assert PyTorchUtils.PyTorchUtilsLogic().torchInstalled()
        else:
            with pytest.raises(ImportError):
                import PyTorchUtils
    finally:
        host.quit()


def test_without_a_main_window_there_is_none() -> None:
    import slicer

    host = slicerhost.start(main_window=False)
    try:
        assert slicer.util.mainWindow() is None
        assert slicer.app.layoutManager() is None
        slicer.util.errorDisplay("Nobody sees this")
        assert host.dialogs == []
    finally:
        host.quit()


# The application


def test_the_application_has_settings_folders_and_a_version(host: Any) -> None:
    import qt
    import slicer

    slicer.app.settings().setValue("TuckerSeg/Device", "cpu")
    assert qt.QSettings().value("TuckerSeg/Device") == "cpu"
    assert slicer.util.settingsValue("TuckerSeg/None", 3, converter=int) == 3
    assert (slicer.app.majorVersion, slicer.app.minorVersion) == (5, 13)
    assert slicer.app.applicationVersion == "5.13.0"
    assert Path(slicer.app.temporaryPath).is_dir()
    assert slicer.util.mainWindow().statusBar() is not None
    assert slicer.app.inherits("QApplication")


def test_slices_can_be_given_a_volume_to_show(host: Any, panel: Any) -> None:
    import slicer

    volume = panel.module.ThresholdLogic.ramp()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    composite = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == volume.GetID()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView


def test_translations_are_functions(host: Any) -> None:
    from slicer.i18n import tr, translate

    assert tr("Segment") == "Segment"
    assert translate("qSlicerAbstractCoreModule", "Segmentation") == "Segmentation"


# What PythonQt allows


@pytest.mark.parametrize(
    "body",
    [
        "button = qt.QPushButton('x'); button.enabled = False; button.text = 'y'; assert button.text == 'y'",
        "slider = qt.QSlider(qt.Qt.Horizontal); slider.maximum = 8; slider.value = 3; assert slider.value == 3",
        "label = qt.QLabel('x'); label.alignment = qt.Qt.AlignRight; assert label.alignment == qt.Qt.AlignRight",
        "box = qt.QSpinBox(); box.setValue(3); box.setRange(0, 5); box.value = 4; assert box.value == 4",
        "widget = qt.QWidget(); widget.setLayout(qt.QFormLayout()); assert widget.layout().count() == 0",
        "widget = qt.QWidget(); qt.QLabel('x', widget); assert isinstance(widget.children(), tuple)",
        "box = qt.QComboBox(); box.addItems(['a', 'b']); box.currentIndex = 1; assert box.currentText == 'b'",
        "button = qt.QPushButton(); assert button.inherits('QWidget') and button.className() == 'QPushButton'",
        "widget = qt.QWidget(); widget.setProperty('mine', 3); assert widget.mine == 3; widget.mine = 4",
        "widget = qt.QWidget(); widget.name = 'a'; assert widget.objectName == 'a'",
        "assert isinstance(qt.Qt.AlignLeft, int) and int(qt.QMessageBox.Ok | qt.QMessageBox.Cancel)",
        "assert hasattr(qt.QLabel(), 'text') and not hasattr(qt.QLabel(), 'collapsed')",
        "class Mine(qt.QDialog): pass\nmine = Mine(); mine.extra = 3; assert isinstance(mine, Mine)",
        "assert isinstance(qt.QLabel(), qt.QLabel)",
        "selector = slicer.qMRMLNodeComboBox(); selector.nodeTypes = ['vtkMRMLTextNode']\n"
        "assert selector.nodeTypes == ('vtkMRMLTextNode',)",
        "button = ctk.ctkCollapsibleButton(); button.text = 'A'; button.collapsed = True; assert button.collapsed",
        "seen = []; timer = qt.QTimer(); timer.connect('timeout()', lambda: seen.append(1)); timer.timeout()\n"
        "assert seen == [1]",
        "progress = qt.QProgressBar(); progress.value = 20.5; assert progress.value == 20",
        "edit = qt.QPlainTextEdit(); edit.plainText = 'log'; edit.appendPlainText('more')\n"
        "assert edit.plainText == 'log\\nmore'",
        "qt.QTimer.singleShot(0, lambda: None); qt.QIcon(); qt.QUrl('https://slicer.org'); qt.QFont()",
        "icon = qt.QPushButton().style().standardIcon(qt.QStyle.SP_BrowserReload); assert not icon.isNull()",
    ],
)
def test_allowed(violations_of: Snippet, host: Any, body: str) -> None:
    assert violations_of(body) == []
    assert host.errors == []


def test_signals_pass_as_many_arguments_as_a_function_takes(host: Any) -> None:
    import qt

    seen: list[Any] = []
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: seen.append("none"))
    button.connect("clicked(bool)", lambda checked: seen.append(checked))
    button.clicked.connect(lambda *a: seen.append(a))
    button.click()
    assert seen == ["none", False, (False,)]


def test_a_connection_ends_when_asked(host: Any) -> None:
    import qt

    seen: list[str] = []

    def slot() -> None:
        seen.append("x")

    button = qt.QPushButton()
    button.connect("clicked()", slot)
    button.click()
    assert button.disconnect("clicked()", slot)
    button.click()
    assert seen == ["x"]


def test_blocked_signals_are_not_emitted(host: Any, panel: Any) -> None:
    seen: list[Any] = []
    panel.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    panel.ui.inputSelector.blockSignals(True)
    panel.module.ThresholdLogic.ramp()
    assert seen == []


# What PythonQt refuses


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("qt.QSlider().value()", ""),
        ("qt.QTimer.singleShot(0, lambda: qt.QSlider().value())", "called"),
        ("qt.QLabel().txt = 'x'", "no property txt"),
        ("qt.QLabel().note = 'x'", "no property note"),
        ("qt.QLabel().setTxt('x')", "no setTxt"),
        ("qt.QLabel().text = None", "does not accept None"),
        ("slicer.qMRMLNodeComboBox().nodeTypes = None", "does not accept None"),
        ("qt.QWidget().sizeHint = 3", "read-only"),
        ("qt.QPushButton().clicked = print", "no property clicked"),
        ("ctk.ctkCollapsibleButton().setCollapsed(True)", "no setCollapsed"),
        ("slicer.qMRMLNodeComboBox().setNodeTypes(['a'])", "no setNodeTypes"),
        ("slicer.qMRMLNodeComboBox().setNoneEnabled(True)", "no setNoneEnabled"),
        ("slicer.qMRMLNodeComboBox()._combo.clear()", "no _combo"),
        ("ctk.ctkPathLineEdit().setFilters(1)", "no setFilters"),
        ("ctk.ctkSliderWidget().setMaximum(1)", "no setMaximum"),
        ("qt.QPushButton().connect('clicked(int)', print)", "no signal clicked(int)"),
        ("qt.QPushButton().connect('clickd()', print)", "no signal clickd()"),
        ("slicer.qMRMLNodeComboBox().connect('currentNodeChanged(vtkMRMLNode)', print)", "no signal"),
        ("qt.QPushButton().connect('clicked()', None)", "cannot be called"),
        ("qt.QPushButton(text='x')", "keyword"),
        ("qt.QVBoxLayout().addWidget(qt.QLabel('x'), stretch=1)", "keyword"),
        ("ctk.ctkCollapsibleButton(text='x')", "keyword"),
        ("isinstance(qt.QPushButton(), qt.QWidget)", "isinstance"),
        ("isinstance(qt.QPushButton(), qt.QAbstractButton)", "isinstance"),
        ("qt.QMenu().addAction('x', lambda: None)", "only in connect"),
        ("qt.QListWidgetItem(text='x')", "keyword"),
        ("slicer.qMRMLNodeComboBox().setCurrentNode(node=None)", "keyword"),
        ("qt.Signal(int)", "qt.Signal does not exist"),
        ("qt.QNothing()", "qt.QNothing does not exist"),
        ("ctk.ctkNothing()", "ctk.ctkNothing does not exist"),
        ("slicer.getNode('x')", "slicer.getNode does not exist"),
        ("slicer.arrayFromVolume", "slicer.arrayFromVolume does not exist"),
    ],
)
def test_refused(violations_of: Snippet, body: str, said: str) -> None:
    found = violations_of(body)
    if said:
        assert len(found) == 1
        assert said in found[0]
        assert found[0].startswith("snippet.py:4: ")


def test_calling_a_property_fails(host: Any) -> None:
    import qt

    with pytest.raises(TypeError, match="not callable"):
        qt.QSlider().value()


def test_isinstance_says_what_pythonqt_says(host: Any) -> None:
    import qt

    with host.expected_violations() as found:
        assert not isinstance(qt.QPushButton(), qt.QWidget)
    assert len(found) == 1


def test_an_error_in_a_slot_is_kept_and_the_next_slot_runs(host: Any) -> None:
    import qt

    seen: list[str] = []
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: seen.append("second"))
    button.click()
    assert "ZeroDivisionError" in host.errors[0]
    assert seen == ["second"]


def test_an_error_in_an_observer_is_kept(host: Any) -> None:
    import slicer

    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, lambda caller, event: 1 / 0)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    assert "ZeroDivisionError" in host.errors[0]


def test_mistakes_in_a_ui_file_are_recorded(host: Any, tmp_path: Path) -> None:
    import slicer

    file = tmp_path / "wrong.ui"
    file.write_text(
        """<ui version="4.0"><widget class="qSlicerWidget" name="root"><layout class="QVBoxLayout"><item>
        <widget class="qMRMLNodeComboBox" name="selector"><property name="nodeType"><string>a</string></property>
        </widget></item></layout></widget><connections>
        <connection><sender>root</sender><signal>sceneChanged()</signal>
        <receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
        <connection><sender>root</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
        <receiver>nobody</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
        <connection><sender>root</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
        <receiver>selector</receiver><slot>setScene(vtkMRMLScene*)</slot></connection>
        </connections></ui>"""
    )
    slicer.util.loadUI(str(file))
    text = "\n".join(host.violations)
    for said in ("no property nodeType", "no signal sceneChanged()", "no widget nobody", "no slot setScene"):
        assert said in text


def test_other_wrappers_of_qt_are_recorded(host: Any, tmp_path: Path) -> None:
    (tmp_path / "Wrong.py").write_text(
        "from slicer.ScriptedLoadableModule import ScriptedLoadableModule\n"
        "from PySide6 import QtWidgets\nclass Wrong(ScriptedLoadableModule): pass\n"
    )
    host.load_module(tmp_path / "Wrong.py")
    assert host.violations == ["Wrong.py:2: import of PySide6"]


def test_an_error_in_a_thread_is_kept(host: Any) -> None:
    import threading

    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert "ZeroDivisionError" in host.errors[0]


def test_web_pages_are_not_opened(host: Any) -> None:
    import qt
    import slicer

    slicer.app.openUrl("https://slicer.org")
    qt.QDesktopServices.openUrl(qt.QUrl("https://slicer.org/a"))
    assert host.opened_urls == ["https://slicer.org", "https://slicer.org/a"]


def test_what_the_host_lacks_is_no_violation(host: Any) -> None:
    import slicer

    with pytest.raises(NotImplementedError, match="the host has none"):
        slicer.qMRMLNodeComboBox().sortFilterProxyModel()
    assert host.violations == []


# Beside the application


def test_stand_ins_offer_what_slicer_offers() -> None:
    """Against the tables of Slicer's own classes, where they are at hand."""
    import json

    tables = DATA.parent / "tools" / "slicer_api.json"
    if not tables.exists():
        pytest.skip("Slicer's tables are not beside the project")
    from slicerhost.standin import API

    real = json.loads(tables.read_text())
    for name, entry in API.items():
        assert entry["properties"] == real[name]["props"]
        assert entry["methods"] == real[name]["methods"]
        assert entry["signals"] == real[name]["signals"]


def test_the_host_runs_on_a_display_too(tmp_path: Path) -> None:
    import shutil

    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    script = tmp_path / "on_display.py"
    script.write_text(
        f"import slicerhost\nhost = slicerhost.start(offscreen=False)\nimport qt\n"
        f"assert qt.QGuiApplication.platformName() == 'xcb', qt.QGuiApplication.platformName()\n"
        f"panel = host.load_module({str(EXAMPLE)!r})\npanel.enter()\n"
        f"host.drag(panel.ui.thresholdSlider, 7)\nassert panel.ui.thresholdSlider.value == 7\n"
        f"host.screenshot(panel.panel, {str(tmp_path / 'a.png')!r})\nassert not host.unexpected\nhost.quit()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(slicerhost.__file__).parents[1]), "QT_QPA_PLATFORM": "xcb"}
    command = ["xvfb-run", "-a", sys.executable, str(script)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if "no Qt platform plugin could be initialized" in run.stderr:
        pytest.skip("apt-get install libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxkbcommon-x11-0")
    assert run.returncode == 0, run.stderr

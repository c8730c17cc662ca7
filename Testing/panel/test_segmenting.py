"""Segmenting, cancelling and everything that can interrupt it, as a person does it in the panel."""

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicerhost
from support.panel import (
    FEW,
    PATIENCE,
    STANDARD_NAMES,
    STRUCTURES,
    add_volume,
    is_running,
    names_of,
    parameters,
    qt_names,
    segmentations,
)

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


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
        assert set(names_of(segmentation)) <= set(STANDARD_NAMES)
        assert said.startswith(f"{len(names_of(segmentation))} structure")
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
        assert panel.ui.statusLabel.text == "Cancelled: the scene is as it was."
        assert panel.ui.applyButton.text == "Segment"
        assert segmentations() == []
        host.choose(panel.ui.inputSelector, add_volume())
        assert " in " in segment()

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
        host.click(panel.ui.structuresCollapsibleButton)
        host.type(panel.ui.structuresSearchBox, "kidney")
        rows = [panel.ui.structuresList.item(row) for row in range(panel.ui.structuresList.count)]
        assert [item.text() for item in rows if not item.isHidden()] == ["kidney_left", "kidney_right"]
        rows[2].setCheckState(qt_names().Checked)
        assert parameters(panel).structures == ("kidney_left",)
        segment()
        assert set(names_of(segmentations()[0])) <= {"left kidney"}
        host.click(panel.ui.allStructuresButton)
        assert parameters(panel).structures == ()
        host.click(panel.ui.structuresCollapsibleButton)

    def test_names_are_the_network_s_where_they_are_to_be(
        self, host: Any, panel: Any, segment: Callable[[], str]
    ) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        parameters(panel).standard_names = False
        segment()
        assert set(names_of(segmentations()[0])) <= set(STRUCTURES)


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
        assert " in " in segment()

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
        assert " in " in segment()

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


def test_quitting_during_a_run_leaves_no_process(host: Any, panel: Any, start_long_run: Callable[[], None]) -> None:
    """The last of all, as it ends the host."""
    start_long_run()
    worker = panel.logic.client.pid
    host.quit()
    assert not is_running(worker)
    assert not host.unexpected

"""A result belongs to the volume that was segmented, whatever is chosen by the time it is there."""

from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import PATIENCE, add_sequence, add_volume, names_of, parameters, part, remember, segmentations

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


def finish(host: Any, panel: Any) -> None:
    assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    host.process_events()


def voxels_of(segmentation: Any) -> int:
    """Voxels in all its segments, by which two results are told apart."""
    import slicer

    ids = segmentation.GetSegmentation().GetSegmentIDs()
    return sum(int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, one).sum()) for one in ids)


def test_input_chosen_during_the_run_does_not_get_its_result(host: Any, panel: Any) -> None:
    first, second = add_volume(name="Patient A"), add_volume(name="Patient B")
    host.choose(panel.ui.inputSelector, first)
    host.click(panel.ui.applyButton)
    host.choose(panel.ui.inputSelector, second)
    finish(host, panel)
    assert [node.GetName() for node in segmentations()] == ["Patient A segmentation"]
    assert panel.ui.inputSelector.currentNode() is second
    assert panel.ui.outputSelector.currentNode() is None
    assert panel.ui.statusLabel.text.startswith("Patient A: ")
    host.click(panel.ui.applyButton)
    finish(host, panel)
    assert [node.GetName() for node in segmentations()] == ["Patient A segmentation", "Patient B segmentation"]


def test_segmentation_of_another_volume_is_kept_even_if_it_is_chosen(host: Any, panel: Any, model: str) -> None:
    first, second = add_volume(name="Patient A"), add_volume(name="Patient B")
    of_first = panel.logic.process(first, model=model)
    before = voxels_of(of_first), names_of(of_first)
    host.choose(panel.ui.inputSelector, second)
    host.choose(panel.ui.outputSelector, of_first)
    host.click(panel.ui.applyButton)
    finish(host, panel)
    assert (voxels_of(of_first), names_of(of_first)) == before
    assert panel.ui.outputSelector.currentNode().GetName() == "Patient B segmentation"
    assert panel.logic.process(second, of_first, model=model) is not of_first


def test_segmentation_of_unknown_origin_is_kept(panel: Any, model: str) -> None:
    import slicer

    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "From a file")
    assert panel.logic.process(add_volume(), loaded, model=model) is loaded  # nothing was in it
    loaded.SetNodeReferenceID(loaded.GetReferenceImageGeometryReferenceRole(), None)
    assert panel.logic.process(add_volume(name="Second"), loaded, model=model) is not loaded


def test_table_and_chart_are_not_filled_with_what_is_of_others(host: Any, panel: Any, model: str) -> None:
    first, second = add_volume(name="Patient A"), add_volume(name="Patient B")
    host.drag(panel.ui.levelSlider, 3)
    host.choose(panel.ui.inputSelector, first)
    host.click(panel.ui.compareButton)
    host.choose(panel.ui.inputSelector, second)
    finish(host, panel)
    assert parameters(panel).comparison is None
    host.click(panel.ui.compareButton)
    finish(host, panel)
    table = parameters(panel).comparison
    assert table.GetName() == "Patient B segmentation compared with the original"
    host.choose(panel.ui.inputSelector, first)
    assert parameters(panel).comparison is None


def test_chart_of_one_model_is_not_filled_with_another_s(host: Any, panel: Any, model: str) -> None:
    host.choose(panel.ui.inputSelector, add_volume())
    levels = [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    remember(panel, model, levels)
    host.click(panel.ui.tradeOffButton)
    chart, title = parameters(panel).trade_off, parameters(panel).trade_off.GetTitle()
    remember(panel, "sample", levels)
    parameters(panel).model = "sample"
    host.click(panel.ui.tradeOffButton)
    assert parameters(panel).trade_off is not chart
    assert chart.GetTitle() == title


def test_scene_imported_during_the_run_keeps_what_it_brought(host: Any, panel: Any, tmp_path: Path, model: str) -> None:
    host.choose(panel.ui.inputSelector, add_volume(name="Imported"))
    host.click(panel.ui.applyButton)
    finish(host, panel)
    (imported,) = segmentations()
    before = voxels_of(imported)
    host.save_scene(tmp_path / "scene.mrml")
    host.close_scene()
    panel.enter()
    parameters(panel).model = model
    host.choose(panel.ui.inputSelector, add_volume(name="Running"))
    host.click(panel.ui.applyButton)
    host.import_scene(tmp_path / "scene.mrml")
    finish(host, panel)
    named = {node.GetName(): node for node in segmentations()}
    assert set(named) == {"Imported segmentation", "Running segmentation"}
    assert voxels_of(named["Imported segmentation"]) == before
    chosen = parameters(panel)
    assert chosen.segmentation is named[f"{chosen.volume.GetName()} segmentation"]


def test_frame_segmented_alone_does_not_go_into_what_plays(host: Any, panel: Any) -> None:
    volume, browser = add_sequence(2)
    host.choose(panel.ui.inputSelector, volume)
    parameters(panel).all_frames = True
    host.click(panel.ui.applyButton)
    finish(host, panel)
    playing = parameters(panel).segmentation
    parameters(panel).all_frames = False
    host.click(panel.ui.applyButton)
    finish(host, panel)
    alone = parameters(panel).segmentation
    assert alone is not playing
    before = voxels_of(alone)
    browser.SetSelectedItemNumber(1)
    host.process_events()
    assert voxels_of(alone) == before
    assert browser.GetSequenceNode(alone) is None


def test_measuring_names_the_volume_it_measured(host: Any, panel: Any) -> None:
    host.drag(panel.ui.levelSlider, 3)
    host.choose(panel.ui.inputSelector, add_volume(name="Patient A"))
    host.click(panel.ui.measureButton)
    host.choose(panel.ui.inputSelector, add_volume(name="Patient B"))
    finish(host, panel)
    assert panel.ui.statusLabel.text == "Measured on Patient A"


@pytest.mark.parametrize("button", ["measureButton", "tradeOffButton"])
def test_clearing_the_input_while_it_is_measured(host: Any, panel: Any, button: str) -> None:
    host.drag(panel.ui.levelSlider, 3)
    host.choose(panel.ui.inputSelector, add_volume())
    host.answer_next(True)
    host.click(getattr(panel.ui, button))
    host.choose(panel.ui.inputSelector, None)
    finish(host, panel)
    assert host.errors == []


def test_volume_that_is_loaded_while_none_is_chosen_is_the_input(host: Any, panel: Any) -> None:
    volume = add_volume()
    host.process_events()
    assert panel.ui.inputSelector.currentNode() is volume
    assert panel.ui.applyButton.enabled
    add_volume(name="Another")
    assert panel.ui.inputSelector.currentNode() is volume


def test_volume_without_voxels_cannot_be_segmented(host: Any, panel: Any) -> None:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    host.choose(panel.ui.inputSelector, node)
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip.startswith("Empty has no voxels")
    assert not panel.ui.measureButton.enabled
    assert part("choices.state").has_voxels(add_volume())

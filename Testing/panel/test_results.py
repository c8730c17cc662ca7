"""What is known of a result stands in its node, its statistics in a table, and the original's result beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicerhost
from support.panel import PATIENCE, add_volume, count, parameters, segmentations

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())

LEVEL = 3
"""The slider's position, DF 0.5."""


@pytest.fixture
def compare(host: Any, panel: Any) -> Callable[[Any], Any]:
    """Presses one of the buttons that compare, on a volume at a compressed level; gives the segmentation."""

    def press_and_wait(button: Any) -> Any:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, LEVEL)
        host.click(button)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        return parameters(panel).segmentation

    return press_and_wait


class TestNotes:
    def test_level_and_what_is_expected_of_it(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, LEVEL)
        segment()
        note = segmentations()[0].GetDescription()
        assert "at DF 0.5 on CT" in note
        assert "Agreement with the original network's result 0." in note
        assert "patches" in note  # it is expected of this scan, as the worker checked it

    def test_original_is_called_that(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        assert segmentations()[0].GetDescription().endswith("This is the original network's result.")

    def test_agreement_says_where_it_was_measured(self, panel: Any, compare: Callable[[Any], Any]) -> None:
        note = compare(panel.ui.compareButton).GetDescription()
        assert "measured on this volume" in note
        assert parameters(panel).comparison.GetDescription() == note

    def test_note_survives_the_scene_s_file(
        self, host: Any, panel: Any, segment: Callable[[], str], tmp_path: Any
    ) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        note = segmentations()[0].GetDescription()
        host.save_scene(tmp_path / "scene.mrml")
        host.close_scene()
        host.load_scene(tmp_path / "scene.mrml")
        assert segmentations()[0].GetDescription() == note


class TestStatistics:
    def test_table_has_volume_and_intensities(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        import slicer

        volume = add_volume()
        host.choose(panel.ui.inputSelector, volume)
        segment()
        host.click(panel.ui.statisticsButton)
        table, (segmentation,) = parameters(panel).statistics, segmentations()
        columns = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
        assert columns[:4] == ["Structure", "Volume", "Mean", "SD"]
        assert table.GetNumberOfRows() == segmentation.GetSegmentation().GetNumberOfSegments()
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) != 0
        values = slicer.util.arrayFromVolume(volume)[inside]
        assert float(table.GetCellText(0, 1)) == pytest.approx(inside.sum() * 1.5**3 / 1000, rel=1e-4)
        assert float(table.GetCellText(0, 2)) == pytest.approx(values.mean(), rel=1e-4)
        assert float(table.GetCellText(0, 3)) == pytest.approx(values.std(), rel=1e-4)

    def test_edited_segments_count_as_they_are(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        import slicer

        volume = add_volume()
        host.choose(panel.ui.inputSelector, volume)
        segment()
        (segmentation,) = segmentations()
        box = np.zeros((24, 24, 24), np.uint8)
        box[:4, :5, :6] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            box, segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), volume
        )
        host.click(panel.ui.statisticsButton)
        assert float(parameters(panel).statistics.GetCellText(0, 1)) == pytest.approx(0.120 * 1.5**3, rel=1e-4)

    def test_same_table_is_filled_again(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        host.click(panel.ui.statisticsButton)
        tables = count("vtkMRMLTableNode")
        host.click(panel.ui.statisticsButton)
        assert count("vtkMRMLTableNode") == tables

    def test_not_of_another_volume(self, host: Any, panel: Any, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        (segmentation,) = segmentations()
        host.choose(panel.ui.inputSelector, add_volume(name="Second"))
        parameters(panel).segmentation = segmentation
        assert not panel.ui.statisticsButton.enabled


class TestSideBySide:
    def test_each_view_shows_one_and_both_show_the_differences(
        self, host: Any, panel: Any, compare: Callable[[Any], Any]
    ) -> None:
        import slicer

        level = compare(panel.ui.sideBySideButton)
        original, differences = (level.GetNodeReference(role) for role in ("TuckerSegOriginal", "TuckerSegDifferences"))
        assert level.GetDisplayNode().GetViewNodeIDs() == ("vtkMRMLSliceNodeRed",)
        assert original.GetDisplayNode().GetViewNodeIDs() == ("vtkMRMLSliceNodeYellow",)
        assert differences.GetDisplayNode().GetViewNodeIDs() == ()
        manager = slicer.app.layoutManager()
        assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
        for view in ("Red", "Yellow"):
            logic = manager.sliceWidget(view).sliceLogic()
            assert logic.GetSliceCompositeNode().GetLinkedControl()
            assert logic.GetSliceNode().GetOrientation() == "Axial"

    def test_differences_are_the_voxels_that_differ(self, host: Any, panel: Any, compare: Callable[[Any], Any]) -> None:
        import slicer

        level = compare(panel.ui.sideBySideButton)
        volume = parameters(panel).volume
        original, differences = (level.GetNodeReference(role) for role in ("TuckerSegOriginal", "TuckerSegDifferences"))

        def named(node: Any) -> Any:
            found = np.full((24, 24, 24), "", dtype="U32")
            segments = node.GetSegmentation()
            for index in range(segments.GetNumberOfSegments()):
                where = slicer.util.arrayFromSegmentBinaryLabelmap(node, segments.GetNthSegmentID(index), volume) != 0
                found[where] = segments.GetNthSegment(index).GetName()
            return found

        np.testing.assert_array_equal(named(differences) != "", named(level) != named(original))

    def test_pressing_again_ends_it(self, host: Any, panel: Any, compare: Callable[[Any], Any]) -> None:
        level = compare(panel.ui.sideBySideButton)
        assert len(segmentations()) == 3
        assert panel.ui.sideBySideButton.checked
        host.click(panel.ui.sideBySideButton)
        assert segmentations() == [level]
        assert level.GetDisplayNode().GetViewNodeIDs() == ()
        assert not panel.ui.sideBySideButton.checked

"""Measuring, comparing and plotting levels, and the frames of a sequence."""

from collections.abc import Callable
from typing import Any

import pytest
import slicerhost
from support.panel import (
    PATIENCE,
    STRUCTURES,
    add_sequence,
    add_volume,
    count,
    parameters,
    remember,
    segmentations,
)

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class TestImproving:
    def test_the_worker_is_asked_and_what_was_known_of_the_levels_is_asked_anew(
        self, host: Any, panel: Any, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The training itself takes minutes: the worker is given another job in its place."""
        asked: list[tuple[str, dict[str, Any]]] = []
        call = panel.logic.client.call

        def recorded(method: str, **arguments: Any) -> Any:
            asked.append((method, arguments))
            return call("levels", model=model) if method == "prepare" else call(method, **arguments)

        monkeypatch.setattr(panel.logic.client, "call", recorded)
        remember(panel, model, [1.0, 0.5])
        host.drag(panel.ui.levelSlider, 3)
        assert "unknown" not in panel.ui.expectedLabel.text
        host.click(panel.ui.improvingCollapsibleButton)
        panel.ui.minutesSpinBox.value = 2
        host.click(panel.ui.improveButton)
        assert not panel.ui.improveButton.enabled and panel.ui.applyButton.text == "Cancel"
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert panel.ui.statusLabel.text == "All positions were improved for 2 min: segment or measure again."
        assert asked[0] == ("prepare", {"model": model, "minutes": 2})
        assert ("levels", {"model": model}) in asked[1:]
        assert "Time unknown, agreement unknown" in panel.ui.expectedLabel.text
        host.click(panel.ui.improvingCollapsibleButton)

    def test_a_compressed_model_cannot_be_improved(self, panel: Any) -> None:
        parameters(panel).model = "/elsewhere/small.tuckerseg"
        assert not panel.ui.improveButton.enabled and not panel.ui.minutesSpinBox.enabled


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

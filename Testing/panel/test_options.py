"""Folds, step, mirroring, sets of structures and stray parts in the panel, and questions before a doubtful run."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicerhost
from support.panel import add_volume, parameters, part, qt_names, segmentations
from support.trained_folders import make_folder

from TuckerSegLib.errors import WeightsError
from TuckerSegLib.models.totalsegmentator.tasks import task
from TuckerSegLib.segmentation.slider.measurements import setup_of

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


def asked(panel: Any) -> Any:
    """The request that *Segment* would make."""
    return panel.widget.panel.choices.request


class TestOptions:
    def test_folds_are_numbers_or_words(self, host: Any, panel: Any) -> None:
        host.click(panel.ui.advancedCollapsibleButton)
        host.type(panel.ui.foldsEdit, "0, 1 all")
        host.press(panel.ui.foldsEdit, qt_names().Key_Return)
        host.click(panel.ui.advancedCollapsibleButton)
        assert asked(panel).folds == (0, 1, "all")
        assert panel.ui.foldsEdit.text == "0, 1, all"

    def test_step_is_automatic_until_it_is_chosen(self, panel: Any) -> None:
        assert asked(panel).step is None
        panel.ui.stepSpinBox.value = 0.25
        assert asked(panel).step == 0.25
        panel.ui.stepSpinBox.value = 0.0
        assert asked(panel).step is None

    def test_mirroring_and_stray_parts(self, panel: Any) -> None:
        assert (asked(panel).mirroring, asked(panel).remove_small_blobs) == (True, False)
        panel.ui.mirroringCheckBox.checked = False
        panel.ui.smallPartsCheckBox.checked = True
        assert (asked(panel).mirroring, asked(panel).remove_small_blobs) == (False, True)

    def test_what_a_task_prescribes_cannot_be_chosen(self, panel: Any) -> None:
        parameters(panel).model = "total-fast"
        assert not panel.ui.foldsEdit.enabled
        assert not panel.ui.mirroringCheckBox.enabled and not panel.ui.mirroringCheckBox.checked

    def test_times_are_kept_apart_by_what_they_depend_on(self, panel: Any) -> None:
        keys = set()
        for step in (None, 0.25):
            for mirroring in (True, False):
                parameters(panel).step, parameters(panel).mirroring = step, mirroring
                keys.add(setup_of(asked(panel)).key)
        assert len(keys) == 4


class TestSets:
    def test_sets_tick_what_belongs_to_them(self, host: Any, panel: Any) -> None:
        parameters(panel).model = "total"
        host.click(panel.ui.structuresCollapsibleButton)
        titles = [panel.ui.presetSelector.itemText(index) for index in range(panel.ui.presetSelector.count)]
        assert titles == ["All structures", "Main organs", "Bones", "Vessels", "Muscles", "Custom (ticked below)"]
        host.choose(panel.ui.presetSelector, "Bones")
        chosen = parameters(panel).structures
        assert {"vertebrae_L1", "rib_left_3", "sacrum"} <= set(chosen) and "liver" not in chosen
        assert panel.ui.structuresSummaryLabel.text.startswith(f"{len(chosen)} of 117")
        host.choose(panel.ui.presetSelector, "All structures")
        assert parameters(panel).structures == ()
        host.click(panel.ui.structuresCollapsibleButton)

    def test_ticking_by_hand_is_custom(self, panel: Any) -> None:
        parameters(panel).model = "total"
        parameters(panel).structures = ("liver", "aorta")
        assert panel.ui.presetSelector.currentText == "Custom (ticked below)"

    def test_every_structure_of_total_is_in_one_set_at_most(self, panel: Any) -> None:
        presets = part("choices.presets")
        names = list(task("total").structures.values())
        sets = [presets.structures_of(preset, names) for preset in presets.offered(names)]
        together = [name for one in sets for name in one]
        assert len(together) == len(set(together))

    def test_a_model_without_such_structures_offers_no_sets(self, panel: Any) -> None:
        presets = part("choices.presets")
        assert presets.offered(["lesion"]) == ["all", "custom"]


class TestDoubts:
    @pytest.fixture
    def of_ct(self, panel: Any, tmp_path: Any) -> str:
        folder = make_folder(tmp_path, features=(8, 16), patch_size=(16, 16, 16))
        dataset = folder / "dataset.json"
        dataset.write_text(json.dumps({**json.loads(dataset.read_text()), "channel_names": {"0": "CT"}}))
        parameters(panel).model = str(folder)
        return str(folder)

    def test_an_mr_for_a_ct_model_is_asked_about(
        self, host: Any, panel: Any, of_ct: str, segment: Callable[[], str]
    ) -> None:
        import slicer

        volume = add_volume(name="Brain MR")
        slicer.util.updateVolumeFromArray(volume, np.abs(slicer.util.arrayFromVolume(volume)))
        host.choose(panel.ui.inputSelector, volume)
        host.answer_next(False)
        host.click(panel.ui.applyButton)
        assert not panel.logic.busy and segmentations() == []
        assert host.dialogs[-1].text.startswith("Brain MR looks like MR")
        host.answer_next(True)
        segment()
        assert len(segmentations()) == 1

    def test_a_ct_is_not(self, host: Any, panel: Any, of_ct: str, segment: Callable[[], str]) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        segment()
        assert host.dialogs == []

    def test_weights_that_a_run_lacked_are_offered_without_a_shell_s_command(self, host: Any, panel: Any) -> None:
        error = WeightsError.of("total-fastest", "They are missing: download them with 'tuckerseg models install'.")
        panel.widget.panel.runs._on_failed(error)
        assert "The weights of total-fastest are not on this computer" in host.dialogs[-1].text
        assert all("tuckerseg" not in dialog.text for dialog in host.dialogs)

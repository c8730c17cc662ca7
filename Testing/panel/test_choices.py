"""What is chosen lives in the scene, the models that are offered, and the packages that are missing."""

from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import PATIENCE, STRUCTURES, add_volume, parameters, part, qt_names, remember

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class TestScene:
    def test_choices_survive_saving_and_loading(self, host: Any, panel: Any, tmp_path: Path) -> None:
        host.choose(panel.ui.inputSelector, add_volume())
        host.drag(panel.ui.levelSlider, 6)
        host.click(panel.ui.advancedCollapsibleButton)
        host.choose(panel.ui.deviceSelector, "CPU")
        parameters(panel).standard_names = False
        chosen = parameters(panel).model
        host.save_scene(tmp_path / "scene.mrml")
        host.close_scene()
        assert parameters(panel).factor == 1.0
        host.load_scene(tmp_path / "scene.mrml")
        assert panel.ui.inputSelector.currentNode().GetName() == "CT"
        assert panel.ui.levelSlider.value == 6
        assert panel.ui.deviceSelector.currentText == "CPU"
        assert not panel.ui.standardNamesCheckBox.checked
        assert parameters(panel).model == chosen
        host.click(panel.ui.advancedCollapsibleButton)

    def test_scripts_change_the_panel(self, host: Any, panel: Any) -> None:
        node = panel.logic.getParameterNode()
        node.SetParameter("Factor", "0.1")
        node.SetParameter("Engine", "torch")
        assert panel.ui.levelSlider.value == 7
        assert panel.ui.engineSelector.currentText == "PyTorch"
        node.SetParameter("Factor", "0.35")
        assert panel.ui.expectedLabel.toolTip.startswith("DF 0.35")

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
        host.press(panel.ui.modelSelector.lineEdit(), qt_names().Key_Return)
        assert parameters(panel).model == "sample"
        assert panel.ui.modelSelector.currentText.startswith("Sample")

    def test_browsing_for_a_folder(self, host: Any, panel: Any, model: str, remembered: dict[str, str]) -> None:
        host.choose(panel.ui.modelSelector, 0)
        host.answer_next(model)
        panel.widget.panel.model.browse_folder()
        assert parameters(panel).model == model
        titles = [panel.ui.modelSelector.itemText(index) for index in range(panel.ui.modelSelector.count)]
        assert titles[:4] == [
            *("Sample: torso CT", "Small sample: torso CT"),
            *("Phantom (3d_fullres)", "total (to be downloaded)"),
        ]

    def test_total_segmentator_is_found(self, panel: Any, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        installed_models = part("choices.models").installed_models

        monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(Path(model).parents[1]))
        assert [found.key for found in installed_models()] == ["sample", "sample-small", model]

    def test_further_models_segment_in_the_same_run(
        self, host: Any, panel: Any, model: str, remembered: dict[str, str]
    ) -> None:
        """They are ticked in the menu, said below the model, and a model that becomes the first is none of them."""
        part("choices.models").remember(Path(model))
        panel.widget.panel.model.fill()
        further, chosen = panel.widget.panel.model.further, parameters(panel)
        chosen.model = "sample-small"
        further.aboutToShow.emit()
        actions = {action.text: action for action in further.actions()}
        assert "Small sample: torso CT" not in actions
        actions["Phantom (3d_fullres)"].trigger()
        assert panel.widget.panel.choices.request.also == (model,)
        assert panel.ui.alsoLabel.text == "and Phantom (3d_fullres)" and panel.ui.alsoLabel.visible
        further.aboutToShow.emit()
        assert [action.text for action in further.actions() if action.checked] == ["Phantom (3d_fullres)"]
        assert set(STRUCTURES) < set(part("choices.models").structures_of_all(chosen.models))
        host.choose(panel.ui.modelSelector, "Phantom (3d_fullres)")
        assert chosen.also == () and not panel.ui.alsoLabel.visible

    def test_costs_of_the_level_are_told(self, host: Any, panel: Any) -> None:
        host.drag(panel.ui.levelSlider, 5)
        assert host.wait_until(lambda: "FLOPs removed" in panel.ui.expectedLabel.toolTip, PATIENCE)
        assert "up to" in panel.ui.expectedLabel.toolTip
        assert panel.ui.expectedLabel.text == "Time unknown, agreement unknown"
        parameters(panel).exact_ranks = True
        assert "up to" not in panel.ui.expectedLabel.toolTip

    def test_fitting_to_the_scan_is_remembered_and_asked_for(self, panel: Any) -> None:
        panel.ui.fitToScanCheckBox.checked = True

        assert parameters(panel).fit_to_scan
        assert panel.widget.panel.choices.request.fit_to_scan

    def test_an_accuracy_to_reach_is_remembered_and_asked_for(self, panel: Any) -> None:
        assert not panel.ui.atLeastSpinBox.enabled
        panel.ui.atLeastCheckBox.checked = True
        assert parameters(panel).at_least == 0.98
        panel.ui.atLeastSpinBox.value = 0.95
        assert panel.widget.panel.choices.request.at_least == 0.95
        panel.ui.atLeastCheckBox.checked = False
        assert panel.widget.panel.choices.request.at_least is None

    def test_agreement_on_phantoms_is_called_that(self, host: Any, panel: Any, model: str) -> None:
        host.drag(panel.ui.levelSlider, 5)
        panel.widget.panel.level.take(
            model,
            {"levels": [{"factor": 0.3, "parameters_removed": 0.9, "flops_removed": 0.8, "agreement": 0.62}]},
        )
        assert panel.ui.expectedLabel.text == "Time unknown, agreement 0.62 on phantoms"
        remember(panel, model, [0.3])
        panel.widget.panel.refresh()
        assert panel.ui.expectedLabel.text.endswith("agreement 0.30: poor")

    def test_compressed_model_has_one_level(self, host: Any, panel: Any, model: str, tmp_path: Path) -> None:
        from TuckerSegLib.decomposition.policies import Relative
        from TuckerSegLib.models.compressed import compressed, save
        from TuckerSegLib.models.opening import open_model

        save(compressed(open_model(model), Relative(0.5)), tmp_path / "small.tuckerseg")
        parameters(panel).model = str(tmp_path / "small.tuckerseg")
        assert not panel.ui.levelSlider.enabled
        assert host.wait_until(lambda: panel.ui.expectedLabel.toolTip.startswith("DF 0.5"), PATIENCE)
        assert panel.ui.structuresList.count == len(STRUCTURES)

"""What scripts do without the panel, the sample, and the self-test."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import MANY, PATIENCE, SMALL_PHANTOM, STANDARD_NAMES, STRUCTURES, add_volume, names_of, segmentations
from support.paths import ROOT
from support.trained_folders import make_folder

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class TestScripts:
    def test_blocking(self, host: Any, panel: Any, model: str) -> None:
        node = panel.logic.process(add_volume(), model=model, factor=0.5, device="cpu")
        assert set(names_of(node)) <= set(STANDARD_NAMES)

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


def test_self_test_passes(loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a coarser model than the sample's, which needs the same steps and less time."""
    coarse = make_folder(tmp_path, labels=STRUCTURES, patch_size=(32, 32, 32), spacing=(8.0, 8.0, 8.0))
    monkeypatch.setattr(loaded.module.TuckerSegTest, "model", str(coarse))
    loaded.run_test(msec=0)

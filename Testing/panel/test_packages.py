"""Missing Python packages: named, installed once on consent, and what pip said where that fails."""

import importlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
import slicerhost
from support.panel import add_volume, part, without

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


@pytest.fixture(autouse=True)
def everything_is_there_again(host: Any, panel: Any) -> Any:
    yield
    host.installs.clear()
    host.on_install.clear()
    without(host, panel)


def test_missing_packages_are_named_in_a_line_with_their_size_behind_it(host: Any, panel: Any) -> None:
    host.choose(panel.ui.inputSelector, add_volume())
    without(host, panel, "tensorly", "safetensors")
    assert panel.ui.packagesFrame.visible
    assert panel.ui.packagesLabel.text == "tensorly and 1 more are missing"
    assert "tensorly, safetensors (about 12 MB)" in panel.ui.packagesLabel.toolTip
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip == "Install what is missing first"


def test_declined_installation_changes_nothing(host: Any, panel: Any) -> None:
    without(host, panel, "tensorly")
    host.answer_next(False)
    host.click(panel.ui.installButton)
    assert host.installs == []
    assert panel.ui.packagesFrame.visible


def test_installation_on_consent(host: Any, panel: Any) -> None:
    without(host, panel, "tensorly")
    host.answer_next(True)
    host.click(panel.ui.installButton)
    assert host.installs == [["tensorly>=0.9"]]
    assert not panel.ui.packagesFrame.visible


def test_installation_cannot_be_started_within_itself(host: Any, panel: Any) -> None:
    """pip's run processes events in 3D Slicer, clicks on the button among them."""
    without(host, panel, "tensorly", "safetensors")
    enabled: list[bool] = []

    def click_again(_names: list[str]) -> None:
        enabled.append(panel.ui.installButton.enabled)
        panel.ui.installButton.click()
        panel.widget.panel.packages._on_install()

    host.on_install.append(click_again)
    host.answer_next(True, True, True)
    host.click(panel.ui.installButton)
    assert enabled == [False]
    assert len(host.installs) == 1
    assert len(host.dialogs) == 1


def test_what_was_agreed_to_is_not_asked_again(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = importlib.import_module("slicerhost.packages")
    monkeypatch.setitem(importlib.import_module("sys").modules, "PyTorchUtils", packages.pytorch_module())
    without(host, panel, "torch")
    host.answer_next(True)
    host.click(panel.ui.installButton)
    assert host.installs == [["torch"]]
    assert len(host.dialogs) == 1


def test_pip_s_last_lines_are_the_details_of_a_failure(host: Any, panel: Any) -> None:
    without(host, panel, "tensorly")

    def fail(_names: list[str]) -> None:
        for number in range(100):
            print(f"line {number}")
        print("ERROR: No space left on device")
        raise RuntimeError("pip returned 1")

    host.on_install.append(fail)
    host.answer_next(True)
    host.click(panel.ui.installButton)
    dialog = host.dialogs[-1]
    assert dialog.text.startswith("The Python packages could not be installed")
    assert "No space left on device" in dialog.details and "line 99" in dialog.details
    assert "line 5\n" not in dialog.details
    assert panel.ui.installButton.enabled


def test_what_slicer_brings_is_held(panel: Any) -> None:
    held = {line.partition("==")[0] for line in part("environment.packages").kept_versions()}
    assert {"numpy", "vtk", "requests", "torch"} <= held


def test_pytorch_without_its_extension_is_one_sentence(host: Any, panel: Any) -> None:
    without(host, panel, "torch")
    host.answer_next(True)
    host.click(panel.ui.installButton)
    assert host.dialogs[-1].text.startswith("PyTorch is missing: install the PyTorch extension")


def test_self_test_is_skipped(host: Any, loaded: Any, panel: Any, caplog: pytest.LogCaptureFixture) -> None:
    host.missing_packages.add("tensorly")
    with caplog.at_level(logging.WARNING):
        loaded.run_test(msec=0)
    assert "skipped" in caplog.text and "tensorly" in caplog.text


def test_what_happens_reaches_the_application_s_log(
    host: Any, panel: Any, caplog: pytest.LogCaptureFixture, segment: Callable[[], str]
) -> None:
    import numpy as np
    import slicer

    volume = add_volume()
    slicer.util.updateVolumeFromArray(volume, np.full((24, 24, 24), np.nan, np.float32))
    host.choose(panel.ui.inputSelector, volume)
    with caplog.at_level(logging.INFO):
        segment()
    assert "Segmenting CT with" in caplog.text
    assert "NaN or infinite voxels" in caplog.text

"""The panel says nothing twice: its options are the library's, its facts come from there, and it needs no PyTorch."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import part
from support.paths import ROOT

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.engines import names
from TuckerSegLib.errors import InputError
from TuckerSegLib.models.sample import SAMPLE, sample_model_folder
from TuckerSegLib.segmentation.request import Request

FORBIDDEN = (
    *("torch", "nnunetv2", "batchgenerators", "acvl_utils", "dynamic_network_architectures", "openvino", "llvmlite"),
    *("tensorly", "safetensors", "nibabel", "SimpleITK", "psutil", "filelock", "platformdirs", "rich", "typer"),
    "totalsegmentator",
)
IMPORT_THE_PANEL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1].split(";")
sys.modules.update(dict.fromkeys(sys.argv[2].split(",")))  # None there makes an import fail
import slicerhost
host = slicerhost.start()
host.load_module(sys.argv[3]).enter()
import TuckerSegPanel
for found in pkgutil.walk_packages(TuckerSegPanel.__path__, "TuckerSegPanel."):
    importlib.import_module(found.name)
assert not host.unexpected, host.unexpected
host.quit()
"""

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


class Node:
    """As much of a parameter node as is asked for."""

    def GetParameter(self, _name: str) -> str:  # noqa: N802
        return ""


@pytest.fixture(scope="module")
def panel() -> Any:
    host = slicerhost.start()
    handle = host.load_module(ROOT / "TuckerSeg" / "TuckerSeg.py")
    yield handle
    host.quit()


def test_parameter_node_holds_every_option_with_its_default(panel: Any) -> None:
    Parameters = part("choices.parameters").Parameters  # noqa: N806
    chosen = Parameters(Node())
    defaults = {field.name: field.default for field in fields(Request)}
    assert {name: getattr(chosen, name) for name in defaults} == defaults
    assert chosen.request([]) == Request()


def test_scripts_name_every_option_as_slicer_spells_it(panel: Any) -> None:
    request_of, spelled = part("choices.options").request_of, part("choices.options").spelled
    given = {spelled(field.name): field.name for field in fields(Request)}
    assert request_of(given) == Request.of(**{name: name for name in given.values()})
    assert request_of({}) == Request()
    with pytest.raises(InputError, match="no option exact_ranks"):
        request_of({"exact_ranks": True})


def test_scripts_are_told_every_option(panel: Any) -> None:
    spelled = part("choices.options").spelled
    text = panel.module.TuckerSegLogic.process.__doc__
    assert [field.name for field in fields(Request) if f"`{spelled(field.name)}`" not in text] == []


def test_choices_are_the_library_s(panel: Any) -> None:
    wording = part("words.wording")
    Parameters = part("choices.parameters").Parameters  # noqa: N806
    assert Parameters.__dict__["device"].allowed == names.DEVICES
    assert Parameters.__dict__["engine"].allowed == names.NAMES
    assert set(wording.device_titles()) == set(names.DEVICES)
    assert set(wording.engine_titles()) == set(names.NAMES)
    assert panel.ui.levelSlider.maximum == len(LEVELS) - 1


@pytest.mark.parametrize("home", ["/", "/home/somebody"])
def test_weights_are_looked_for_where_the_library_keeps_them(
    panel: Any, home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = part("choices.models")
    looked: list[Path] = []
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.delenv("TOTALSEG_HOME_DIR", raising=False)
    monkeypatch.setenv("HOME", home)

    def look(folder: Path, _pattern: str) -> Iterator[Path]:
        looked.append(folder)
        return iter(())

    monkeypatch.setattr("pathlib.Path.glob", look)
    models.installed_models()
    expected = Path("/tmp" if home == "/" else home) / ".totalsegmentator" / "nnunet" / "results"
    assert expected in looked


def test_structures_of_the_sample_are_read_from_where_the_library_finds_it(panel: Any) -> None:
    models = part("choices.models")
    assert "liver" in models.structures_of(SAMPLE)
    assert (sample_model_folder() / "dataset.json").is_file()


def test_panel_opens_where_only_what_slicer_brings_is_installed() -> None:
    paths = f"{ROOT / 'Testing'};{ROOT / 'TuckerSeg'};{ROOT}"
    command = [sys.executable, "-c", IMPORT_THE_PANEL, paths, ",".join(FORBIDDEN), ROOT / "TuckerSeg" / "TuckerSeg.py"]
    done = subprocess.run([str(argument) for argument in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

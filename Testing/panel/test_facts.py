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
from TuckerSegLib.words import wording

BROUGHT = ("numpy", "scipy", "vtk", "vtkmodules", "packaging", "requests", "pydicom", "SimpleITK")
"""What 3D Slicer's own Python has, besides Python's library; all that the panel may need."""

ALL_BUT_ONE = -1
"""Cores that a run takes in 3D Slicer, so that it stays quick, unless the user wants all."""

OF_THE_HOST = ("slicerhost", "slicer", "PySide6", "shiboken6", "TuckerSeg", "TuckerSegLib", "TuckerSegPanel")

IMPORT_THE_PANEL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1].split(";")
allowed = {*sys.stdlib_module_names, *sys.argv[2].split(",")}
class OnlyThese:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return self.finder.find_spec(name, path, target) if name.partition(".")[0] in allowed else None
import slicerhost
host = slicerhost.start()
sys.meta_path[:] = map(OnlyThese, sys.meta_path)
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
    defaults = {**{field.name: field.default for field in fields(Request)}, "threads": ALL_BUT_ONE}
    assert {name: getattr(chosen, name) for name in defaults} == defaults
    assert chosen.request([]) == Request(threads=ALL_BUT_ONE)


def test_scripts_name_every_option_as_slicer_spells_it(panel: Any) -> None:
    request_of, spelled = part("choices.options").request_of, part("choices.options").spelled
    values: dict[str, Any] = {
        **{field.name: field.name for field in fields(Request)},
        "step": 0.25,
        "at_least": 0.9,
        "threads": 3,
        "memory": 10**9,
    }
    assert request_of({spelled(name): value for name, value in values.items()}) == Request.of(**values)
    assert request_of({}) == Request()
    with pytest.raises(InputError, match="no option exact_ranks"):
        request_of({"exact_ranks": True})


def test_scripts_are_told_every_option(panel: Any) -> None:
    spelled = part("choices.options").spelled
    text = panel.module.TuckerSegLogic.process.__doc__
    assert [field.name for field in fields(Request) if f"`{spelled(field.name)}`" not in text] == []


def test_choices_are_the_library_s(panel: Any) -> None:
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
    command = [
        sys.executable,
        "-c",
        IMPORT_THE_PANEL,
        paths,
        ",".join([*BROUGHT, *OF_THE_HOST]),
        ROOT / "TuckerSeg" / "TuckerSeg.py",
    ]
    done = subprocess.run([str(argument) for argument in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

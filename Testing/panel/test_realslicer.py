"""What a real 3D Slicer is told to do, done by the stand-in host; and that the workflow names what there is."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from realslicer import fetching
from support.panel import SMALL_PHANTOM, STRUCTURES
from support.paths import ROOT
from support.trained_folders import make_folder

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())

FOLDER = ROOT / "Testing" / "realslicer"

WORKFLOW = (ROOT / ".github" / "workflows" / "slicer.yml").read_text()


def test_self_test_runs_and_pictures_are_taken(
    host: Any, panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = make_folder(tmp_path, labels=STRUCTURES, patch_size=(32, 32, 32), spacing=(8.0, 8.0, 8.0))
    monkeypatch.setattr(panel.module.TuckerSegTest, "model", str(coarse))
    monkeypatch.setattr("TuckerSegPanel.runs.phantom._PROGRAM", SMALL_PHANTOM)
    monkeypatch.setenv("TUCKERSEG_PICTURES", str(tmp_path))
    inside = importlib.import_module("realslicer.inside")
    monkeypatch.setattr(inside, "MODEL", str(coarse))
    assert inside.main() == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"before.png", "sample.png", "segmented.png"}


def test_skipped_self_test_is_no_success(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("TuckerSegPanel.environment.interpreters.need", lambda: type("Need", (), {"sentence": "no"}))
    assert not importlib.import_module("realslicer.inside").self_test()


@pytest.mark.parametrize(("system", "name"), [("linux", "linux"), ("darwin", "macosx"), ("win32", "win")])
def test_download_is_that_of_the_system(system: str, name: str) -> None:
    assert (
        fetching.url("5.10", system) == f"https://download.slicer.org/download?os={name}&stability=release&version=5.10"
    )
    assert fetching.url("preview", system) == f"https://download.slicer.org/download?os={name}&stability=nightly"


@pytest.mark.parametrize(
    ("system", "inside"),
    [
        ("linux", "Slicer-5.10.0-linux-amd64/Slicer"),
        ("darwin", "Slicer.app/Contents/MacOS/Slicer"),
        ("win32", "installed/Slicer.exe"),
    ],
)
def test_program_is_found(tmp_path: Path, system: str, inside: str) -> None:
    program = tmp_path / inside
    for file in (program, program.parent / "bin" / program.name):  # the launcher, and what it starts
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert fetching.program(tmp_path, system) == program


def test_slicer_is_started_with_the_script_and_the_modules(tmp_path: Path) -> None:
    main = importlib.import_module("realslicer.__main__")
    script = tmp_path / "Slicer"
    script.write_text('#!/bin/sh\necho "$@" > "$TUCKERSEG_PICTURES/arguments"\nexit 3\n')
    script.chmod(0o755)
    assert main.run(script, tmp_path / "modules", tmp_path, tmp_path / "environment") == 3
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[-1] == str(FOLDER / "inside.py")
    assert arguments[arguments.index("--additional-module-paths") + 1] == str(tmp_path / "modules")


def test_workflow_runs_on_three_systems_and_two_versions() -> None:
    assert re.search(r"os: \[ubuntu-\S+, windows-\S+, macos-\S+\]", WORKFLOW)
    assert 'version: ["5.10", preview]' in WORKFLOW
    assert "python Testing/realslicer --fetch" in WORKFLOW
    assert sys.version_info >= (3, 11)

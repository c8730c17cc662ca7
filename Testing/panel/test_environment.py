"""TuckerSeg's own Python: made on consent, cancelled, gone on with, removed; a stand-in for `uv` fetches nothing."""

import os
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from packaging.requirements import Requirement
from packaging.version import Version
from support.panel import PATIENCE, add_volume, is_running, part
from support.paths import ROOT

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())

PINS = ROOT / "TuckerSeg" / "Resources" / "Environment"

UV = """#!{python}
import os, pathlib, subprocess, sys, time
folder = pathlib.Path(__file__).parents[2]
with (folder / "told.txt").open("a") as told:
    print(*sys.argv[1:], file=told)
if sys.argv[1] == "venv":
    environment = pathlib.Path(sys.argv[-1])
    if not environment.exists():
        environment.symlink_to({prefix!r})
elif (folder / "hang").exists():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "child").write_text(str(child.pid))
    time.sleep(600)
elif (folder / "fail").exists():
    print(*[f"line {{number}}" for number in range(1000)], sep="\\n", flush=True)
    sys.exit("error: no space left on device")
"""


@pytest.fixture
def folder(host: Any, panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, in which uv is all there is; the panel is to use its own Python."""
    own = tmp_path / "TuckerSeg" / "environment"
    monkeypatch.setenv("TUCKERSEG_ENVIRONMENT", str(own))
    monkeypatch.setattr(part("environment.making"), "TRIAL", "print('3.11.7', '2.13.0+cpu')")
    uv = own / "uv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV.format(python=sys.executable, prefix=sys.prefix))
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    version = (PINS / "uv.txt").read_text().split()[0].partition("==")[2]
    (own / "uv" / f"uv-{version}.dist-info").mkdir()
    part("environment.interpreters").choose("")
    host.choose(panel.ui.inputSelector, add_volume())
    panel.switch_away()
    panel.enter()
    return own


@pytest.fixture
def install(host: Any, panel: Any) -> Callable[[], str]:
    def press_and_wait() -> str:
        host.answer_next(True)
        host.click(panel.ui.installButton)
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        return str(panel.ui.statusLabel.text)

    return press_and_wait


def told(folder: Path) -> list[str]:
    """What uv was asked for."""
    return (folder / "told.txt").read_text().splitlines()


class TestMaking:
    def test_size_is_said_and_nothing_happens_without_consent(self, host: Any, panel: Any, folder: Path) -> None:
        assert panel.ui.packagesFrame.visible
        assert not panel.ui.applyButton.enabled
        assert " GB" in panel.ui.packagesLabel.toolTip and str(folder) in panel.ui.packagesLabel.toolTip
        host.answer_next(False)
        host.click(panel.ui.installButton)
        assert not panel.logic.busy
        assert not (folder / "told.txt").exists()
        assert " GB" in host.dialogs[-1].text

    def test_made_on_consent_and_used(self, panel: Any, folder: Path, install: Callable[[], str]) -> None:
        assert install() == "Installed: Python 3.11.7, PyTorch 2.13.0+cpu"
        assert not panel.ui.packagesFrame.visible
        assert panel.ui.applyButton.enabled
        python, variables = part("environment.interpreters").for_worker()
        assert Path(python) == folder / "python" / "bin" / "python"
        assert variables["PYTHONNOUSERSITE"] == "1" and "PYTHONHOME" not in variables
        environment, torch, others = told(folder)
        assert environment.startswith("venv")
        assert "torch.txt" in torch and "packages.txt" in torch
        assert "--no-deps" in others

    def test_worker_runs_there(self, host: Any, panel: Any, folder: Path, install: Callable[[], str]) -> None:
        install()
        answers: list[Any] = []
        panel.logic.ask("ping", answers.append)
        assert host.wait_until(lambda: bool(answers), PATIENCE)
        process = Path(f"/proc/{panel.logic.client.pid}/cmdline").read_bytes().split(b"\0")
        assert process[0].decode() == str(folder / "python" / "bin" / "python")

    def test_cancelling_ends_all_that_was_started_and_the_next_time_goes_on(
        self, host: Any, panel: Any, folder: Path, install: Callable[[], str]
    ) -> None:
        (folder / "hang").touch()
        host.answer_next(True)
        host.click(panel.ui.installButton)
        assert host.wait_until(lambda: (folder / "child").exists(), PATIENCE)
        child = int((folder / "child").read_text())
        host.click(panel.ui.applyButton)
        assert host.wait_until(lambda: not is_running(child), PATIENCE)
        assert not panel.logic.busy
        assert panel.ui.packagesLabel.text == "The installation was broken off"
        (folder / "hang").unlink()
        assert install().startswith("Installed")
        assert "--allow-existing" in told(folder)[-3]

    def test_last_lines_are_the_details_of_a_failure(
        self, host: Any, panel: Any, folder: Path, install: Callable[[], str]
    ) -> None:
        (folder / "fail").touch()
        assert install().startswith("Installing PyTorch failed: check the network")
        assert host.dialogs[-1].details.endswith("error: no space left on device")
        assert "line 10\n" not in host.dialogs[-1].details
        assert panel.ui.packagesFrame.visible and panel.ui.installButton.enabled

    def test_what_another_version_pinned_is_updated(
        self, panel: Any, folder: Path, install: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install()
        monkeypatch.setattr(part("environment.places"), "pinned", lambda: "other")
        panel.switch_away()
        panel.enter()
        assert panel.ui.packagesLabel.text == "Its Python needs an update"

    def test_room_is_looked_for_first(
        self, host: Any, panel: Any, folder: Path, install: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(part("environment.room").Room, "free", 1e6)
        assert "free some first" in install()
        assert not (folder / "told.txt").exists()

    def test_folder_of_wheels_takes_the_place_of_the_network(
        self, host: Any, panel: Any, folder: Path, tmp_path: Path
    ) -> None:
        host.answer_next(str(tmp_path), True)
        panel.widget.panel.python.install_from_wheels()
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        environment, torch, others = told(folder)
        assert "--offline" in environment
        assert all("--no-index" in line and f"--find-links {tmp_path}" in line for line in (torch, others))

    def test_made_from_an_interpreter_of_this_computer(self, host: Any, panel: Any, folder: Path) -> None:
        host.answer_next(sys.executable, True)
        panel.widget.panel.python.make_from()
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        assert f"--python {sys.executable}" in told(folder)[0]

    def test_one_button_removes_it(self, host: Any, panel: Any, folder: Path, install: Callable[[], str]) -> None:
        install()
        host.answer_next(False)
        panel.widget.panel.python.remove()
        assert folder.is_dir()
        host.answer_next(True)
        panel.widget.panel.python.remove()
        assert host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        host.process_events()
        assert list(folder.parent.iterdir()) == []
        assert panel.ui.packagesFrame.visible
        assert panel.ui.statusLabel.text == "The Python of TuckerSeg's own was removed"


class TestChoice:
    def test_another_interpreter_must_be_able_to(self, host: Any, panel: Any, folder: Path, tmp_path: Path) -> None:
        bare = tmp_path / "python"
        bare.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n")
        bare.chmod(0o755)
        host.answer_next(str(bare))
        panel.widget.panel.python.browse()
        assert "cannot run TuckerSeg (ModuleNotFoundError: No module named 'torch')" in host.dialogs[-1].text
        assert part("environment.interpreters").chosen() == ""

    def test_another_interpreter_is_used_and_remembered(
        self, host: Any, panel: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(part("environment.interpreters"), "TRIAL", "import torch")
        host.answer_next(sys.executable)
        panel.widget.panel.python.browse()
        assert part("environment.interpreters").for_worker()[0] == sys.executable
        assert panel.ui.pythonSelector.currentText == sys.executable
        assert panel.ui.applyButton.enabled

    def test_slicer_s_own_stays_a_choice(self, host: Any, panel: Any, folder: Path) -> None:
        panel.ui.advancedCollapsibleButton.collapsed = False
        host.choose(panel.ui.pythonSelector, "3D Slicer's own")
        panel.ui.advancedCollapsibleButton.collapsed = True
        assert not panel.ui.packagesFrame.visible
        assert part("environment.interpreters").for_worker() == (sys.executable, os.environ)

    def test_interpreter_that_is_gone_is_named(self, panel: Any, folder: Path) -> None:
        part("environment.interpreters").choose("/gone/python3")
        panel.switch_away()
        panel.enter()
        assert panel.ui.packagesLabel.text == "python3 is not there"
        assert not panel.ui.installButton.visible
        assert "choose another Python" in panel.ui.applyButton.toolTip


class TestPins:
    """The lock file says what is installed, to the last file."""

    def test_every_requirement_is_pinned_at_a_version_that_fits(self) -> None:
        lines = [*(PINS / "packages.txt").read_text().splitlines(), *(PINS / "torch.txt").read_text().splitlines()]
        pinned: dict[str, list[Version]] = {}
        for line in lines:
            name, separator, rest = line.partition("==")
            if separator and not line.startswith(" "):
                pinned.setdefault(name, []).append(Version(rest.split()[0]))
        wanted = [
            Requirement(line.partition("#")[0]) for line in (PINS / "requirements.txt").read_text().splitlines()[1:]
        ]
        assert wanted
        for one in wanted:
            versions = pinned[one.name.lower()]
            assert all(one.specifier.contains(version) for version in versions), one

    def test_all_that_the_library_imports_on_its_way_to_a_segmentation_is_wanted(self) -> None:
        """The library names its own dependencies; the shell alone needs `typer`."""
        library = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        pinned = {line.partition("==")[0] for line in (PINS / "packages.txt").read_text().splitlines()}
        assert {Requirement(one).name.lower() for one in library} - pinned == {"torch", "typer"}

    def test_every_pin_has_its_hashes(self) -> None:
        for name in ("packages.txt", "uv.txt"):
            entries = (PINS / name).read_text().replace("\\\n", "").splitlines()
            assert [entry for entry in entries if "--hash=sha256:" not in entry] == []

    def test_pytorch_s_build_is_left_to_the_computer(self) -> None:
        lines = (PINS / "packages.txt").read_text().splitlines()
        assert [line for line in lines if line.startswith(("torch", "nvidia-", "triton"))] == []


class TestBuilds:
    def test_gpu_decides(self, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        builds = part("environment.builds")
        for nvidia, build in ((True, builds.CUDA), (False, builds.CPU)):
            monkeypatch.setattr(builds, "has_nvidia", lambda nvidia=nvidia: nvidia)
            assert builds.fitting() is build

    @pytest.mark.parametrize(
        ("machine", "translated", "runs"), [("arm64", "", True), ("x86_64", "1", True), ("x86_64", "0", False)]
    )
    def test_macs_get_a_native_python_or_a_reason(
        self, panel: Any, monkeypatch: pytest.MonkeyPatch, machine: str, translated: str, runs: bool
    ) -> None:
        """3D Slicer is an Intel program there, which Apple's processors translate."""
        builds = part("environment.builds")
        monkeypatch.setattr(builds.sys, "platform", "darwin")
        monkeypatch.setattr(builds.platform, "machine", lambda: machine)

        def sysctl(*_command: Any, **_options: Any) -> Any:
            return type("Done", (), {"stdout": f"{translated}\n"})

        monkeypatch.setattr(builds.subprocess, "run", sysctl)
        assert bool(builds.obstacle()) is not runs
        assert "aarch64" in builds.fitting().python

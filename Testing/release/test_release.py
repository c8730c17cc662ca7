"""What is published: installed from a file into an empty environment, it works there without the checkout."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

from TuckerSegLib.version import VERSION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMOKE = """
import sys
from pathlib import Path
import TuckerSegLib as tuckerseg
from TuckerSegLib.volumes.phantoms.phantom import phantom
from TuckerSegLib.volumes.phantoms.seeds import DEMONSTRATION

assert Path(tuckerseg.__file__).is_relative_to(sys.prefix), tuckerseg.__file__
assert {"sample", "sample-small"} <= set(tuckerseg.installed_models())
sample = phantom(DEMONSTRATION)
found = tuckerseg.segment(sample.image, model="sample-small", factor=0.9)
dice = found.dice(sample.truth)
print(tuckerseg.__version__, sum(dice.values()) / len(dice))
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was made from it."""
    folder: Path = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, where=folder)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which nothing but the wheel, and what it asks for, was installed."""
    folder: Path = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "-q", wheel_in(dist), where=folder)
    return programs


def run(*command: str | Path, where: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_in(dist: Path) -> Path:
    return dist / f"tuckerseg-{VERSION}-py3-none-any.whl"


def test_the_wheel_holds_the_package_both_samples_and_the_licences(dist: Path) -> None:
    names = zipfile.ZipFile(wheel_in(dist)).namelist()
    for sample in ("SampleModel", "WideSampleModel"):
        assert f"TuckerSegLib/Resources/{sample}/fold_0/checkpoint_final.pth" in names
    assert {"TuckerSegLib/py.typed", "TuckerSegLib/app/serving/page/page.js"} <= set(names)
    said = f"tuckerseg-{VERSION}.dist-info/licenses"
    assert {f"{said}/LICENSE", f"{said}/NOTICE"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"TuckerSegLib", f"tuckerseg-{VERSION}.dist-info"}


def test_the_source_archive_holds_what_builds_and_tests_it(dist: Path) -> None:
    with tarfile.open(dist / f"tuckerseg-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "CMakeLists.txt", "TuckerSeg/TuckerSeg.py", "Testing/release/test_release.py"} <= names
    assert not {name for name in names if name.startswith((".git/", ".venv", "site/", "dist/"))}


def test_it_segments_where_nothing_but_the_wheel_was_installed(installed: Path, tmp_path: Path) -> None:
    version, dice = run(installed / "python", "-c", SMOKE, where=tmp_path).split()
    assert version == VERSION and float(dice) > 0.5


def test_its_command_answers_there(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "tuckerseg", "--version", where=tmp_path).strip() == VERSION
    assert "sample-small" in run(installed / "tuckerseg", "models", "--json", where=tmp_path)

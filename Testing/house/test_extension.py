"""The Slicer extension: configured, installed into an empty folder, and used from there alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import ROOT

MODULES = "lib/Slicer-5.10/qt-scripted-modules"
NEEDED = [tool for tool in ("cmake", "make", "cc", "c++") if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)}: apt-get install cmake g++ make")

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import TuckerSegLib
for found in pkgutil.walk_packages(TuckerSegLib.__path__, "TuckerSegLib."):
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as error:
        if error.name != "triton":  # which only computers with a GPU have
            raise
from TuckerSegLib.models.sample import sample_model_folder
print(TuckerSegLib.__file__)
print(sample_model_folder())
"""
LOAD_MODULE = """
import sys
sys.path.append(sys.argv[2])
from slicerhost import start
host = start()
host.load_module(sys.argv[1] + "/TuckerSeg.py").enter()
import TuckerSegLib, TuckerSegPanel
print(TuckerSegLib.__file__)
print(TuckerSegPanel.__file__)
assert not host.unexpected, host.unexpected
host.quit()
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("build")
    _run("cmake", "-S", ROOT, "-B", folder, f"-DSlicer_DIR={ROOT / 'Testing' / 'slicercmake'}", "-DBUILD_TESTING=ON")
    return folder


@pytest.fixture(scope="module")
def installed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of scripted modules of an installed extension."""
    prefix: Path = tmp_path_factory.mktemp("installed")
    _run("cmake", "--install", build, "--prefix", prefix)
    yield prefix / MODULES


def test_no_file_is_forgotten(installed: Path) -> None:
    sources = [*_below(ROOT, "TuckerSegLib"), *_below(ROOT / "TuckerSeg", "TuckerSegPanel"), "TuckerSeg.py"]
    forgotten = [file for file in sources if not (installed / file).is_file()]
    assert not forgotten, "not installed: " + "\n  ".join(["", *forgotten])


def test_no_resource_is_forgotten(installed: Path) -> None:
    used = ["UI/TuckerSeg.ui", "Icons/TuckerSeg.png"]
    used += [f"Environment/{path.name}" for path in (ROOT / "TuckerSeg" / "Resources" / "Environment").iterdir()]
    samples = [ROOT / "Resources" / name for name in ("SampleModel", "WideSampleModel")]
    model = [str(path.relative_to(ROOT / "Resources")) for sample in samples for path in sample.rglob("*.*")]
    shipped = {Path(name).parts[0] for name in model if name.endswith("checkpoint_final.pth")}
    assert shipped == {"SampleModel", "WideSampleModel"}, "both sample models are part of the extension"
    assert [name for name in (*used, *model) if not (installed / "Resources" / name).is_file()] == []


def test_library_works_from_the_installed_files_alone(installed: Path, tmp_path: Path) -> None:
    library, model = _python(IMPORT_ALL, tmp_path, installed).split()
    assert Path(library).is_relative_to(installed)
    assert Path(model).is_relative_to(installed)


def test_module_opens_from_the_installed_files_alone(installed: Path, tmp_path: Path) -> None:
    said = _python(LOAD_MODULE, tmp_path, installed, ROOT / "Testing").splitlines()[-2:]
    assert all(Path(file).is_relative_to(installed) for file in said)


def test_self_test_is_registered(build: Path) -> None:
    assert "py_TuckerSeg.py" in _run("ctest", "--test-dir", build, "-N")


def test_what_the_index_is_told_is_consistent(build: Path) -> None:
    lines = (build / "description.txt").read_text().splitlines()
    told = dict(line.split(" ", 1) for line in lines)
    entry = json.loads((ROOT / "docs" / "TuckerSeg.json").read_text())
    assert entry["scm_url"] == told["HOMEPAGE"]
    assert entry["category"] == told["CATEGORY"]
    assert entry["build_dependencies"] == [one for one in told["DEPENDS"].split() if one != "NA"]
    assert "patent" in told["DESCRIPTION"]
    prefix = told["HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    for url in (told["ICONURL"], *told["SCREENSHOTURLS"].split()):
        assert (ROOT / url.removeprefix(prefix)).is_file(), f"{url} is published but not in the repository"


def _below(root: Path, folder: str) -> list[str]:
    files = (path.relative_to(root) for path in sorted((root / folder).rglob("*")) if path.is_file())
    return [str(file) for file in files if "__pycache__" not in file.parts]


def _python(program: str, cwd: Path, *arguments: Path) -> str:
    return _run(sys.executable, "-P", "-c", program, *arguments, cwd=cwd)


def _run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

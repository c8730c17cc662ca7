"""Tries the extension in a real 3D Slicer: `python Testing/realslicer --slicer PATH` or `... --fetch 5.10`.

Installs the extension into an empty folder, starts 3D Slicer with that alone, has the module make the Python of its
own, runs the self-test, and takes pictures of the window. Needs CMake, a network, and on Linux a display, such as that
of `xvfb-run`. Exit status 0 means that every test passed. It needs nothing but Python's own library.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from realslicer.fetching import fetch

ROOT = Path(__file__).resolve().parents[2]

INSIDE = Path(__file__).resolve().with_name("inside.py")

MODULES = Path("lib") / "Slicer-5.10" / "qt-scripted-modules"


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    pictures = options.pictures.resolve()
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        slicer = options.slicer or fetch(options.fetch, Path(folder) / "Slicer")
        modules = install_extension(Path(folder))
        environment = options.environment or Path(folder) / "environment"
        return run(slicer, modules, pictures, environment.resolve())


def install_extension(folder: Path) -> Path:
    """The extension as its own CMake files install it; gives the folder of modules."""
    build, installed = folder / "build", folder / "extension"
    configure = ["cmake", "-S", ROOT, "-B", build, f"-DSlicer_DIR={ROOT / 'Testing' / 'slicercmake'}"]
    subprocess.run([str(part) for part in configure], check=True)
    subprocess.run(["cmake", "--install", str(build), "--prefix", str(installed)], check=True)
    return installed / MODULES


def run(slicer: Path, modules: Path, pictures: Path, environment: Path) -> int:
    """3D Slicer with the module in `modules`; its exit status."""
    variables = {"TUCKERSEG_ENVIRONMENT": str(environment), "TUCKERSEG_PICTURES": str(pictures)}
    return subprocess.run(command(slicer, modules), env={**os.environ, **variables}).returncode


def command(slicer: Path, modules: Path) -> list[str]:
    """How 3D Slicer is started."""
    quiet = ["--no-splash", "--testing", "--ignore-slicerrc", "--disable-settings"]
    return [str(slicer), *quiet, "--additional-module-paths", str(modules), "--python-script", str(INSIDE)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--slicer", type=Path, help="the program of an installed 3D Slicer")
    which.add_argument("--fetch", metavar="VERSION", help="a version such as 5.10, or 'preview' for the newest")
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="folder for the pictures")
    parser.add_argument("--environment", type=Path, help="folder to keep the Python of the module's own in")
    return parser


if __name__ == "__main__":
    sys.exit(main())

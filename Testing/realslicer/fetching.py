"""3D Slicer for this system, downloaded from its own pages and unpacked; free of everything but Python's library."""

import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

_PAGE = "https://download.slicer.org/download"

_SYSTEMS = {"linux": "linux", "darwin": "macosx", "win32": "win"}
"""As the page calls them."""

_FILES = {"linux": "Slicer.tar.gz", "darwin": "Slicer.dmg", "win32": "Slicer.exe"}


def url(version: str, system: str = sys.platform) -> str:
    """Where a version such as "5.10", or the newest "preview", lies for a system."""
    which = "stability=nightly" if version == "preview" else f"stability=release&version={version}"
    return f"{_PAGE}?os={_SYSTEMS[system]}&{which}"


def fetch(version: str, folder: Path) -> Path:
    """The program of a 3D Slicer that is unpacked into `folder`."""
    folder.mkdir(parents=True)
    file = folder / _FILES[sys.platform]
    request = urllib.request.Request(url(version), headers={"User-Agent": "TuckerSeg tests"})
    with urllib.request.urlopen(request) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target)
    _unpack(file, folder)
    file.unlink()
    return program(folder)


def program(folder: Path, system: str = sys.platform) -> Path:
    """The program in a folder that a 3D Slicer was unpacked into."""
    name = {"linux": "Slicer", "darwin": "Slicer", "win32": "Slicer.exe"}[system]
    found = [path for path in sorted(folder.rglob(name)) if path.is_file() and path.parent.name != "bin"]
    if not found:
        raise FileNotFoundError(f"There is no {name} below {folder}.")
    return found[0]


def _unpack(file: Path, folder: Path) -> None:
    if sys.platform == "linux":
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    elif sys.platform == "darwin":
        mounted = folder / "mounted"
        subprocess.run(
            ["hdiutil", "attach", str(file), "-nobrowse", "-mountpoint", str(mounted)], check=True, input=b"Y"
        )
        application = next(mounted.glob("Slicer*.app"))
        shutil.copytree(application, folder / application.name, symlinks=True)
        subprocess.run(["hdiutil", "detach", str(mounted)], check=True)
    else:
        subprocess.run([str(file), "/S", f"/D={folder / 'installed'}"], check=True)  # NSIS: the folder comes last

"""The packages that segmenting needs, in 3D Slicer's own Python for those who want them there: found, installed."""

import re
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module, invalidate_caches, metadata
from pathlib import Path
from typing import Any

import slicer
from packaging.requirements import Requirement
from slicer.i18n import tr as _

from TuckerSegLib.errors import TuckerSegError

from .places import RESOURCES

REQUIREMENTS = RESOURCES / "requirements.txt"

KEPT = ("numpy", "vtk", "SimpleITK", "requests", "scipy", "pydicom", "torch", "torchvision")
"""What the application brings, or PyTorch's extension chose for this computer: never replaced by another version."""

_LAST_LINES = 30
"""Lines of what pip says that are kept as details of a failure."""

_SIZE = re.compile(r"#\s*(?P<size>\d+) MB(?P<alone>, without its dependencies)?")


@dataclass(frozen=True)
class Package:
    """A requirement, megabytes of disk it takes with what it alone needs, and whether its dependencies are left out."""

    requirement: Requirement
    megabytes: int
    alone: bool

    @property
    def is_torch(self) -> bool:
        return self.requirement.name == "torch"


class InstallError(TuckerSegError):
    """Something could not be installed, is not wanted, or cannot run the worker."""


def installed_version(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def needed(path: Path = REQUIREMENTS) -> list[Package]:
    """One package a line: `name>=1.0  # 12 MB`."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text, _separator, _comment = line.partition("#")
        size = _SIZE.search(line)
        if text.strip() and size:
            found.append(Package(Requirement(text.strip()), int(size["size"]), bool(size["alone"])))
    return found


def missing() -> list[Package]:
    """What is not installed in a version that fits; PyTorch first, as others need it."""
    absent = [package for package in needed() if not _is_installed(package.requirement)]
    return sorted(absent, key=lambda package: not package.is_torch)


def describe(packages: Sequence[Package]) -> str:
    """What is missing and how much room it takes, as a sentence."""
    names = ", ".join("PyTorch" if package.is_torch else package.requirement.name for package in packages)
    size = sum(package.megabytes for package in packages)
    text = f"{size / 1000:.1f} GB" if size >= 1000 else f"{size} MB"
    return _("Segmenting needs Python packages that are not installed: {names} (about {size}).").format(
        names=names, size=text
    )


def summarise(packages: Sequence[Package]) -> str:
    """The same in so few words that they fit a line: `PyTorch and 5 other packages are missing`."""
    first = "PyTorch" if packages[0].is_torch else packages[0].requirement.name
    if len(packages) == 1:
        return _("{name} is missing").format(name=first)
    return _("{name} and {count} more are missing").format(name=first, count=len(packages) - 1)


def install(packages: Sequence[Package]) -> None:
    """Installs what the user agreed to; versions of what the application brings stay as they are.

    Raises:
        InstallError: the installation failed or was declined.
    """
    with _last_lines() as said:
        try:
            _install(packages)
        except InstallError:
            raise
        except Exception as error:  # pip, Slicer and the PyTorch extension each raise their own
            failed = InstallError(_("The Python packages could not be installed: check the network and the log."))
            failed.details = "\n".join([*said, str(error)])
            raise failed from error
    invalidate_caches()


def _install(packages: Sequence[Package]) -> None:
    for package in packages:
        if package.is_torch:
            _install_torch(package.requirement)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in kept_versions()), encoding="utf-8")
        others = [package for package in packages if not package.is_torch]
        _pip([str(package.requirement) for package in others if not package.alone], constraints)
        for package in others:
            if package.alone:
                slicer.util.pip_install(["--no-deps", str(package.requirement)])


class _Tee:
    """Standard output that is shown as before and remembered, as far as its last lines go."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)

    def write(self, text: str) -> int:
        self.lines.extend(line for line in text.splitlines() if line.strip())
        self._shown.write(text)
        return len(text)

    def flush(self) -> None:
        self._shown.flush()


@contextmanager
def _last_lines() -> Iterator[deque[str]]:
    """The last lines that pip prints in the block, which Slicer passes on to standard output."""
    tee = _Tee(sys.stdout)
    with redirect_stdout(tee):
        yield tee.lines


def kept_versions() -> list[str]:
    """Lines of a constraints file that hold everything in `KEPT` at what is installed."""
    found = {name: installed_version(name) for name in KEPT}
    return [f"{name}=={version}" for name, version in found.items() if version]


def _is_installed(requirement: Requirement) -> bool:
    check = _of_slicer("pip_check")
    if check is not None:
        return bool(check(requirement))
    version = installed_version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _of_slicer(function: str) -> Any:
    """A function of slicer.packaging, which came with Slicer 5.12; None before that."""
    try:
        return getattr(import_module("slicer.packaging"), function, None)
    except ModuleNotFoundError:
        return None


def _install_torch(requirement: Requirement) -> None:
    """Through the extension that finds the build for this computer's GPU and driver."""
    try:
        utilities = import_module("PyTorchUtils")
    except ModuleNotFoundError as error:
        raise InstallError(
            _("PyTorch is missing: install the PyTorch extension in the Extensions Manager and restart Slicer.")
        ) from error
    torch = utilities.PyTorchUtilsLogic().installTorch(
        askConfirmation=False, torchVersionRequirement=str(requirement.specifier)
    )
    if torch is None:
        raise InstallError(_("PyTorch was not installed, and nothing can be segmented without it."))


def _pip(requirements: list[str], constraints: Path) -> None:
    if not requirements:
        return
    ensure = _of_slicer("pip_ensure")
    if ensure is None:
        slicer.util.pip_install(["--constraint", str(constraints), *requirements])
    else:
        ensure(requirements, constraints=constraints, prompt_install=False, requester="TuckerSeg")

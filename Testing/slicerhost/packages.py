"""What installs packages in the application: recorded here, and never done.

`installed` says which requirements the user of a test has; `pip_ensure` asks as Slicer's does and raises the
RuntimeError that Slicer's raises when the user declines.
"""

# mypy: ignore-errors

import importlib.metadata
from collections.abc import Callable
from types import ModuleType

import slicer
import slicer.util
from packaging.requirements import Requirement

installs: list[list[str]] = []
missing: set[str] = set()
on_install: list[Callable[[list[str]], None]] = []


def reset() -> None:
    installs.clear()
    missing.clear()
    on_install.clear()


def _requirements(given) -> list[Requirement]:
    if isinstance(given, str):
        try:
            return [Requirement(given)]
        except ValueError:
            return [Requirement(part) for part in given.split()]
    return [Requirement(str(one)) for one in (given if isinstance(given, list) else [given])]


def load_requirements(path) -> list[Requirement]:
    with open(path) as file:
        lines = (line.strip() for line in file)
        return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(req) -> bool:
    return all(_satisfied(one) for one in _requirements(req))


def _satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    if requirement.name.lower() in missing:
        return False
    try:
        return importlib.metadata.version(requirement.name) in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_install(requirements, *_, completedCallback=None, **__):
    names = requirements.split() if isinstance(requirements, str) else [str(r) for r in requirements]
    installs.append(names)
    for one in names:
        missing.discard(one.split("[")[0].split("=")[0].split(">")[0].split("<")[0].strip().lower())
    for call in on_install:
        call(names)
    if completedCallback is not None:
        completedCallback(0)


def pip_uninstall(requirements, **_) -> None:
    installs.append(["uninstall", str(requirements)])


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    wanted = [r for r in _requirements(requirements) if not _satisfied(r)]
    if not wanted or (skip_in_testing and slicer.app.testingEnabled()):
        return None
    names = ", ".join(map(str, wanted))
    if prompt_install and not slicer.util.confirmOkCancelDisplay(f"{requester or 'Slicer'} needs: {names}. Install?"):
        raise RuntimeError("User declined package installation")
    pip_install([str(r) for r in wanted])
    return list(skip_packages) if skip_packages else None


def packaging_module() -> ModuleType:
    """`slicer.packaging`; before it existed, `slicer.util.pip_install` was all there was."""
    module = ModuleType("slicer.packaging")
    for function in (load_requirements, pip_check, pip_install, pip_uninstall, pip_ensure):
        setattr(module, function.__name__, function)
    return module


class PyTorchUtilsLogic:
    """The PyTorch extension's logic, on the torch of this Python."""

    def torchInstalled(self) -> bool:
        return _satisfied(Requirement("torch"))

    @property
    def torch(self):
        import torch

        return torch

    def importTorch(self):
        if not self.torchInstalled():
            self.installTorch()
        return self.torch

    def installTorch(
        self,
        askConfirmation=False,
        forceComputationBackend=None,
        torchVersionRequirement=None,
        torchvisionVersionRequirement=None,
    ):
        if askConfirmation and not slicer.util.confirmOkCancelDisplay("PyTorch will be downloaded and installed."):
            return None
        pip_install(["torch"])
        return self.torch

    def getDevice(self) -> str:
        return "cpu"


def pytorch_module() -> ModuleType:
    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    return module

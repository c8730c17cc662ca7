"""The Python of TuckerSeg's own, made by uv in steps; goes on where it was broken off, with a network or without."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from slicer.i18n import tr as _

from TuckerSegLib.renaming import renamed
from TuckerSegLib.worker.process import environment, python_executable

from ..runs.program import Program
from ..runs.run import Step, Steps
from . import builds
from .builds import Build
from .interpreters import TRIAL, variables_outside
from .packages import InstallError
from .places import PACKAGES, TORCH, UV, Places
from .room import Room

OLDEST_PYTHON = ">=3.11"


@dataclass(frozen=True)
class Plan:
    """How it is made.

    `base` is the interpreter of this computer that it is made from; empty where uv fetches one. `wheels` is a folder
    that everything is taken from, without a network; None where it is downloaded.
    """

    build: Build
    base: str = ""
    wheels: Path | None = None


def make(places: Places, plan: Plan) -> Steps:
    """Everything into the user's data folder; gives what was written down about it.

    Raises:
        InstallError: this computer cannot run it, there is no room, or a step failed; what was done stays.
    """
    room = Room(places.root, plan.build.megabytes)
    _check(places, plan, room)
    places.root.mkdir(parents=True, exist_ok=True)
    maker = _Maker(places, plan, room)
    yield from maker.steps()
    said = yield maker.trial()
    python, torch = said.strip().splitlines()[-1].split()
    places.finish({"build": plan.build.title, "python": python, "torch": torch})
    shutil.rmtree(places.cache, ignore_errors=True)
    return places.told


def remove(places: Places) -> Steps:
    """Takes everything away: at once out of sight, then from the disk. Nothing may run in it."""
    gone = places.root.with_name(f"{places.root.name}-removed-{uuid4().hex[:8]}")
    failure = InstallError(_("The Python of TuckerSeg's own could not be removed: close other windows of 3D Slicer."))
    try:
        if places.begun:
            renamed(places.root, gone)
    except OSError as error:
        failure.details = str(error)
        raise failure from error
    program = "import shutil, sys; [shutil.rmtree(folder) for folder in sys.argv[1:]]"
    left = [str(folder) for folder in places.root.parent.glob(f"{places.root.name}-removed-*")]
    yield Step(Program([python_executable(), "-c", program, *left], os.environ, "remove", failure))


def _check(places: Places, plan: Plan, room: Room) -> None:
    reason = builds.obstacle()
    if not reason and room.free < room.wanted:
        reason = _("{size} are needed in {folder}, and {free} are free there: free some first.").format(
            size=plan.build.gigabytes, folder=places.root, free=f"{room.free / 1e9:.1f} GB"
        )
    if reason:
        raise InstallError(reason)


@dataclass(frozen=True)
class _Maker:
    places: Places
    plan: Plan
    room: Room

    def steps(self) -> Iterator[Step]:
        if not self._has_uv():
            yield self._step("uv", self._fetch_uv(), os.environ)
        yield self._step("Python", self._make_environment(), self._variables)
        torch = [*self._install(), "--constraints", PACKAGES, "--requirements", TORCH]
        yield self._step("PyTorch", torch, self._variables)
        others = [*self._install(), "--no-deps", "--requirements", PACKAGES]
        yield self._step(_("the other packages"), others, self._variables)

    def trial(self) -> Step:
        """What was made, started once as the worker is."""
        command = [self.places.python, "-P", "-c", TRIAL]
        title = _("the whole")
        return self._step(title, command, environment(variables_outside()), "try")

    def _step(
        self, title: str, command: list[str | Path], variables: Mapping[str, str], stage: str = "install"
    ) -> Step:
        text = _(
            "Installing {what} failed: check the network and the room on the disk, and try again. What is there stays."
        )
        failure = InstallError(text.format(what=title))
        return Step(Program(command, variables, stage, failure, self.room.taken), title=title)

    @property
    def _variables(self) -> dict[str, str]:
        """uv keeps everything in the folder, and trusts what the system trusts, such as a hospital's own authority."""
        backend = {"UV_TORCH_BACKEND": self.plan.build.backend} if self.plan.build.backend else {}
        return {
            "UV_SYSTEM_CERTS": "1",
            **backend,
            **variables_outside(),
            "UV_CACHE_DIR": str(self.places.cache),
            "UV_PYTHON_INSTALL_DIR": str(self.places.interpreters),
            "UV_NO_PROGRESS": "1",
        }

    def _fetch_uv(self) -> list[str | Path]:
        pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--upgrade"]
        foreign = ["--platform", self.plan.build.platform] if self.plan.build.platform else []
        wheels = ["--no-index", "--find-links", str(self.plan.wheels)] if self.plan.wheels else []
        target = ["--target", str(self.places.uv_folder), "--require-hashes", "--requirement", str(UV)]
        return [python_executable(), *pip, *foreign, *wheels, *target]

    def _make_environment(self) -> list[str | Path]:
        again = "--allow-existing" if self.places.python.is_file() else "--clear"
        command: list[str | Path] = [self.places.uv, "venv", again, "--no-project"]
        if self.plan.base:
            return [*command, "--python", self.plan.base, self.places.environment]
        if self.plan.wheels:
            return [*command, "--offline", "--python", OLDEST_PYTHON, self.places.environment]
        return [*command, "--managed-python", "--python", self.plan.build.python, self.places.environment]

    def _install(self) -> list[str | Path]:
        command: list[str | Path] = [self.places.uv, "pip", "install", "--python", self.places.python]
        if self.plan.wheels:  # made on another computer from what is pinned, so that their hashes are others
            return [*command, "--offline", "--no-index", "--no-verify-hashes", "--find-links", self.plan.wheels]
        return command

    def _has_uv(self) -> bool:
        return self.places.uv.is_file() and (self.places.uv_folder / f"uv-{_version(UV)}.dist-info").is_dir()


def _version(requirement: Path) -> str:
    """`0.1.2` of the first line, `name==0.1.2`."""
    return requirement.read_text(encoding="utf-8").split()[0].partition("==")[2]

"""Which Python runs the worker, as the user chose it on this computer, and what is missing before it can."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.worker.process import environment, python_executable

from ..choices import settings
from . import builds, packages
from .packages import InstallError
from .places import Places

SETTING = "TuckerSeg/Python"

OWN, SLICERS = "", "slicer"
"""What the setting holds for TuckerSeg's own Python and for the application's; any other text is an interpreter."""

TRIAL = """
import platform
import torch
import TuckerSegLib.worker.service
print(platform.python_version(), torch.__version__)
"""
"""Fails where an interpreter cannot run the worker; says versions where it can."""

_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "VIRTUAL_ENV")
"""What belongs to another interpreter than the one that is started."""

_SECONDS_TO_TRY = 120


@dataclass(frozen=True)
class Need:
    """What is missing before anything can be segmented: in a `line`, as a sentence, and whether a button helps."""

    line: str
    sentence: str
    can_install: bool = True


def chosen() -> str:
    return settings.read(SETTING)


def choose(which: str) -> None:
    settings.write(SETTING, which)


def for_worker() -> tuple[str, Mapping[str, str]]:
    """The interpreter that runs the worker, and the environment it is started in."""
    which = chosen()
    if which == SLICERS:
        return python_executable(), os.environ
    return (which or str(Places.of_user().python)), variables_outside()


def variables_outside() -> dict[str, str]:
    """The environment of a program that is none of 3D Slicer's: as it was before that started."""
    started: Mapping[str, str] = slicer.util.startupEnvironment()
    found = {name: value for name, value in started.items() if name not in _MISLEADING}
    return {**found, "PYTHONNOUSERSITE": "1"}


def need() -> Need | None:
    """What is missing now; None where the chosen interpreter is ready."""
    which = chosen()
    if which == SLICERS:
        return _need_of_slicers()
    return _need_of_named(which) if which else _need_of_own()


def check(python: str) -> None:
    """Try whether this interpreter can run the worker, which takes some seconds.

    Raises:
        InstallError: it cannot.
    """
    command = [python, "-P", "-c", TRIAL]
    quiet = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)} if sys.platform == "win32" else {}
    said = ""
    try:
        done = subprocess.run(
            command,
            env=environment(variables_outside()),
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_TRY,
            stdin=subprocess.DEVNULL,
            **quiet,
        )
        said = "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        text = _("{python} cannot run TuckerSeg ({reason}): install there what is listed in {file}, or choose another.")
        failed = InstallError(text.format(python=python, reason=said.splitlines()[-1], file=packages.REQUIREMENTS))
        failed.details = said
        raise failed


def _need_of_slicers() -> Need | None:
    missing = packages.missing()
    return Need(packages.summarise(missing), packages.describe(missing)) if missing else None


def _need_of_named(python: str) -> Need | None:
    if Path(python).is_file():
        return None
    line = _("{python} is not there").format(python=Path(python).name)
    sentence = _("{python} is not on this computer: choose another Python below Advanced.").format(python=python)
    return Need(line, sentence, False)


def _need_of_own() -> Need | None:
    places, build = Places.of_user(), builds.fitting()
    if places.ready:
        return None
    obstacle = builds.obstacle()
    if obstacle:
        return Need(_("This computer cannot run it"), obstacle, False)
    sentence = _(
        "Segmenting needs PyTorch and other Python packages ({size}, for this computer's {build}). They go into a "
        "folder of their own, {folder}: 3D Slicer's Python and other extensions stay as they are."
    ).format(size=build.gigabytes, build=build.title, folder=places.root)
    if places.told:
        return Need(_("Its Python needs an update"), sentence)
    if places.begun:
        return Need(_("The installation was broken off"), sentence)
    return Need(_("Needs {size} of Python packages").format(size=build.gigabytes), sentence)

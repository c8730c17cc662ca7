"""A language whose numbers have a decimal comma, for programs that tests start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

IN_GERMAN = """
import locale
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","
"""
"""What a program begins with to speak it."""


def german(folder: Path) -> dict[str, str]:
    """An environment in which a program may speak German, made in `folder`."""
    if shutil.which("localedef") is None:
        pytest.skip("makes a locale with localedef")
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True)
    if made.returncode > 1:
        pytest.skip("the sources of the German locale are not installed")
    return {**os.environ, "LOCPATH": str(folder)}

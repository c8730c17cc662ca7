"""What is shown, whatever the terminal can show: a finished run does not fail at a name."""

import json
import subprocess
import sys

import pytest
from support.paths import ROOT

SHOWN = """
import sys
from TuckerSegLib.cli import console
console.show_warnings()
name = sys.argv[1].encode().decode("unicode_escape")
console.write_table(name, ("Structure", "Voxels"), [(name, "1")])
print(name)
console.write_json({"output": name})
console.say_error(name)
console.say_warning(name)
"""


def shown(name: str, encoding: str, closed: str = "") -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-c", SHOWN, name.encode("unicode_escape").decode()]
    environment = {"PYTHONIOENCODING": encoding, "PATH": "", "COLUMNS": "200"}
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *run] if closed else run
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, encoding="latin-1")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("name", ["Hüfte", "肝臓", "\udcfcnot UTF-8", "M\\x07"])
def test_any_name_is_shown_on_any_terminal(name: str, encoding: str) -> None:
    done = shown(name, encoding)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["tumor [core]", "[/b]", "[red]liver[/red]", "C:\\scans\\[1]\\ct", ":warning: x"])
def test_square_brackets_are_text(name: str) -> None:
    done = shown(name, "utf-8")
    assert done.returncode == 0, done.stderr
    in_json = json.dumps(name)[1:-1] == name
    assert done.stdout.count(name) == 3 + in_json, done.stdout
    assert done.stderr.count(name) == 2, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="closes standard error as shells do")
def test_closed_standard_error_does_not_matter() -> None:
    done = shown("liver", "utf-8", "2>&-")
    assert done.returncode == 0
    assert done.stdout.count("liver") == 4

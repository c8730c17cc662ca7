"""Tutorials do what they say: their commands and programs are taken from the pages and run, in the order of the page.

Blocks marked `bash` and `python` are run; those marked `sh` need what a test does not have: a network, scans, minutes.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.paths import ROOT

from TuckerSegLib.cli.main import app
from website import commands

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -c "from TuckerSegLib.cli.main import main; main()" "$@"\n'

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tutorials are written for a POSIX shell")


def follow(page: str, folder: Path) -> str:
    """Do what a page says in an empty folder, with a cache of its own; what was printed."""
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert blocks, f"{page} has nothing to follow"
    programs = folder / "programs"
    programs.mkdir()
    for name, text in {"tuckerseg": _PROGRAM, "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    work = folder / "work"
    work.mkdir()
    if "tuckerseg phantom ct.nii.gz" not in blocks[0][1]:
        subprocess.run([programs / "tuckerseg", "phantom", work / "ct.nii.gz"], cwd=ROOT, check=True)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TUCKERSEG_CACHE": str(folder / "cache"),
    }
    printed = ""
    for language, text in blocks:
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page}: {text}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    return printed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_the_documents_exist_with_all_their_options(document: Path) -> None:
    """Whether they are run or not: a page must not name what is no more."""
    known = dict(commands.commands(typer.main.get_command(app)))
    for call in calls(document.read_text(encoding="utf-8")):
        words = shlex.split(call, comments=True)
        name = max((name for name in known if words[: len(name.split())] == name.split()), key=len, default="")
        assert name, f"there is no command: {call}"
        options = {option for one in known[name].params for option in (*one.opts, *one.secondary_opts)}
        named = {word.partition("=")[0] for word in words if word.startswith("-")} - {"--help", "--version"}
        assert named <= options, f"{call}: {named - options}"


def calls(text: str) -> list[str]:
    """The calls of `tuckerseg` in a document's blocks, with lines that go on put together."""
    blocks = "\n".join(found[1] for found in FENCE.findall(text)).replace("\\\n", " ")
    return [found[1] for found in re.finditer(r"(?:^|/| )(tuckerseg(?: [a-z]|  ?-).*)$", blocks, re.MULTILINE)]


@pytest.mark.slow
def test_the_shells_first_steps(tmp_path: Path) -> None:
    printed = follow("start/shell.md", tmp_path)
    assert "liver" in printed and "Agreement with the original network" in printed
    assert (tmp_path / "work" / "ct.seg.nrrd").is_file() and "'expected'" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("howto/share.md", "small.tuckerseg"),
        ("howto/prepare.md", "Times faster"),
        ("reference/python.md", "liver"),
    ],
)
def test_what_takes_longer(page: str, said: str, tmp_path: Path) -> None:
    assert said in follow(page, tmp_path)

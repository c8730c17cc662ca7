"""What is said of the release beside the code: one version, and files that follow their published schemas."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.paths import ROOT

from TuckerSegLib.version import VERSION

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def check(schema: str, *files: Path) -> None:
    """Against a schema that check-jsonschema brings along: no network."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_citation_and_the_changelog_name_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == VERSION  # type: ignore[index]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == VERSION  # type: ignore[index]


def test_nothing_else_says_the_version_of_this_release() -> None:
    """One place says it, so that no other can be forgotten; the two above are held to it."""
    said = [path for path in ROOT.glob("*.*") if path.is_file() and f'"{VERSION}"' in path.read_text("utf-8", "ignore")]
    assert said == [] and tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_the_citation_follows_the_citation_file_format() -> None:
    check("vendor.citation-file-format", ROOT / "CITATION.cff")


def test_workflows_follow_their_schema() -> None:
    assert len(WORKFLOWS) >= 5
    check("vendor.github-workflows", *WORKFLOWS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_and_files_that_exist(workflow: Path) -> None:
    text, makefile = workflow.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target for call in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", text) for target in call.split()}
    assert not {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)}
    files = re.findall(r"\b(?:Testing|docs|packaging)/[\w./-]*\w", text)
    assert not [file for file in files if not (ROOT / file).exists()]

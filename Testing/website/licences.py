"""Licences as a page: what is bundled, and what is installed beside it with the licence that each package states."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_NOT_ON_USERS_COMPUTERS = ("dev", "docs")


def page() -> str:
    """Markdown: NOTICE, and a table of the packages that `pyproject.toml` names."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8").partition("\n\n")[2].partition("\n--- ")[0]
    rows = "\n".join(f"| {name} | {group} | {licence(name)} |" for name, group in packages().items())
    return (
        f"# Licences\n\n## What is bundled\n\n{notice}\n## What is installed beside it\n\nThe packages that "
        "TuckerSeg asks for itself, with the licences that they state. `make sbom` lists all of them, with those that "
        "these ask for, as a software bill of materials in CycloneDX's format.\n\n"
        f"| Package | Asked for by | Licence |\n| --- | --- | --- |\n{rows}\n"
    )


def packages() -> dict[str, str]:
    """The packages by name, each with what asks for it: TuckerSeg itself, or an extra of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {_name(asked): "every installation" for asked in project["dependencies"]}
    for extra, listed in project["optional-dependencies"].items():
        if extra not in _NOT_ON_USERS_COMPUTERS:
            for asked in listed:
                found.setdefault(_name(asked), f"`tuckerseg[{extra}]`")
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def licence(package: str) -> str:
    """As its metadata states it, in one line."""
    try:
        said = metadata(package)
    except PackageNotFoundError:
        return "not installed where this page was made"
    classifiers = [c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or [] if c.startswith("License")]
    expression, text = (str(said[key]) if key in said else "" for key in ("License-Expression", "License"))
    named = expression or ", ".join(classifiers) or text.partition("\n")[0]
    return named or "not stated"


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~;\s]", requirement, maxsplit=1)[0]

"""What the site says of the code is what the code says of itself, and every link in the documents leads somewhere."""

import posixpath
import re
from dataclasses import fields
from pathlib import Path

import pytest
from support.paths import ROOT

from TuckerSegLib.segmentation.request import Request, help_of
from website import commands, licences, links, module

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

MODULES = ("TuckerSegLib", "TuckerSeg", "Testing", "Resources", "packaging")

LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")


def anchors(path: Path) -> set[str]:
    """Those of a document's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading)).strip("-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        file = (document.parent / target).resolve() if target else document
        made = file.relative_to(ROOT / "docs").as_posix() if file.is_relative_to(ROOT / "docs") else ""
        if made in ("reference/commands.md", "reference/module.md", "reference/licences.md"):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}")
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_that_are_named_exist(document: Path) -> None:
    named = set(re.findall(r"`([\w/.-]+\.py)`", document.read_text(encoding="utf-8")))
    modules = [path.as_posix() for top in MODULES for path in (ROOT / top).rglob("*.py")]
    assert [name for name in sorted(named) if not any(module.endswith(f"/{name}") for module in modules)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_are_described_for_those_who_do_not_see_them(document: Path) -> None:
    assert not re.findall(r"!\[\]\([^)]*\)", document.read_text(encoding="utf-8"))


def test_the_number_in_the_readme_is_the_one_in_the_table() -> None:
    readme, table = (path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "docs" / "accuracy.md"))
    said = re.search(
        r"\*\*([\d.]+) times faster.*?\*\*: ([\d.]+) instead of ([\d.]+).*?position ([\d.]+)", readme, re.DOTALL
    )
    assert said
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| ")]
    original = next(row for row in rows if row[1] == "original")
    level = next(row for row in rows if row[1] == said[4])
    assert (said[1], said[2], said[3]) == (level[8], level[3], original[3])


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    made = {"reference/commands.md", "reference/module.md", "reference/licences.md", *links.PAGES.values()}
    assert listed == pages | made


def test_the_reference_has_every_command_with_all_it_takes() -> None:
    page = commands.page()
    for command in ("segment", "bench", "phantom", "cohort run", "pacs segment", "models install", "cache clear"):
        assert f"\n## tuckerseg {command}\n" in page
    section = page.partition("\n## tuckerseg segment\n")[2].partition("\n## ")[0]
    for option in ("--model`, `-m", "--at-least", "--json", "--mirroring`, `--no-mirroring"):
        assert f"`{option}`" in section
    assert help_of("at_least") in section and "`INPUT...`" in section


def test_the_reference_has_every_parameter_of_the_module_with_what_it_means() -> None:
    found = {field: name for field, _, name in module.parameters()}
    assert found["factor"] == "Factor" and found["volume"] == "InputVolume"
    asked = {field.name for field in fields(Request)} - {"threads", "memory"}
    assert asked <= set(found)
    rows = [line for line in module.page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(found) and all(row.split(" | ")[2].strip(" |") for row in rows)


def test_every_package_that_is_asked_for_states_a_licence() -> None:
    rows = [line for line in licences.page().splitlines() if re.match(r"\| [\w-]+ \| (every|`tuckerseg)", line)]
    assert len(rows) > 20 and not [row for row in rows if "not stated" in row]


def test_links_are_those_of_the_place_where_a_page_is() -> None:
    def there(link: str, file: str, page: str) -> str:
        return links.on_the_site(f"[x]({link})", file, page).removeprefix("[x](").removesuffix(")")

    assert there("../Resources/Screenshots/levels.png", "docs/slicer.md", "slicer.md") == "pictures/levels.png"
    assert there("docs/formats.md", "CHANGELOG.md", "changelog.md") == "formats.md"
    assert there("../../SECURITY.md", "docs/start/shell.md", "start/shell.md") == "../reporting.md"
    assert there("../LICENSE", "docs/slicer.md", "slicer.md") == f"{links.REPOSITORY}LICENSE"
    assert there("nowhere.md#x", "docs/slicer.md", "slicer.md") == posixpath.normpath("nowhere.md#x")
    assert there("https://example.org/a.md", "docs/slicer.md", "slicer.md") == "https://example.org/a.md"

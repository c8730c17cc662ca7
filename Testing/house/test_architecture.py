"""The tree of rooms in the documents says what the packages say of themselves.

`python Testing/house/test_architecture.py` writes the tree anew.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIBRARY, PANEL = ROOT / "TuckerSegLib", ROOT / "TuckerSeg" / "TuckerSegPanel"

DOCUMENT = ROOT / "docs" / "architecture.md"

BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->"

ROOMS = (
    "errors.py", "version.py", "renaming.py", "folders.py", "lru_folder.py", "store.py", "waiting.py", "threads.py",
    "memory_limit.py",
    "progress.py",
    "volumes", "decomposition", "models", "engines", "inference", "training", "segmentation", "worker", "words",
    "evaluation", "cohorts", "app", "cli",
)  # fmt: skip
"""What lies in `TuckerSegLib`, from the ground up."""


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def tree() -> str:
    """A line for each room and file of `ROOMS`, with the rooms inside a room below it."""
    places = [LIBRARY, *(place for name in ROOMS for place in _with_rooms(LIBRARY / name)), *_with_rooms(PANEL)]
    shown = [(_name(place), first_line(place / "__init__.py" if place.is_dir() else place)) for place in places]
    width = max(len(name) for name, _ in shown) + 2
    return "```\n" + "".join(f"{name.ljust(width)}{text}".rstrip() + "\n" for name, text in shown) + "```\n"


def _with_rooms(place: Path) -> list[Path]:
    return sorted(face.parent for face in place.rglob("__init__.py")) if place.is_dir() else [place]


def _name(place: Path) -> str:
    if place in (LIBRARY, PANEL):
        return f"{place.relative_to(ROOT).as_posix()}/"
    depth = len(place.relative_to(PANEL if place.is_relative_to(PANEL) else LIBRARY).parts)
    return "  " * depth + place.name + ("/" if place.is_dir() else "")


def test_the_tree_of_rooms_says_what_the_packages_say() -> None:
    written = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert written == tree(), "write it anew by: python Testing/house/test_architecture.py"


def test_every_room_is_in_the_tree() -> None:
    found = {path.name for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert found - {"__init__.py"} == set(ROOMS)


def test_the_places_that_the_documents_name_exist() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (DOCUMENT, ROOT / "CONTRIBUTING.md")]
    places = {place for text in texts for place in re.findall(r"`((?:TuckerSegLib|TuckerSeg|Testing)/[\w./]*)`", text)}
    assert places and not {place for place in places if not (ROOT / place).exists()}


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + tree() + END + rest.partition(END)[2], encoding="utf-8")

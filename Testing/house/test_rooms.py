"""The house keeps its order: imports walk upwards, nothing runs in a circle, and rooms, files and functions stay small.

`TuckerSegLib` has floors, lowest first. A package may import from its own floor and from those below, and the panel
from all of them. Every import counts, those inside functions and those for type checkers too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIBRARY, PANEL = ROOT / "TuckerSegLib", ROOT / "TuckerSeg"

FLOORS = (
    {"errors", "folders", "renaming", "threads", "version", "waiting"},
    {"lru_folder", "memory_limit"},
    {"store"},
    {"progress", "volumes", "decomposition"},
    {"models"},
    {"engines", "inference"},
    {"training"},
    {"segmentation"},
    {"worker", "words"},
    {"evaluation"},
    {"cohorts"},
    {"the front door"},
    {"app"},
    {"cli"},
)

HEAVY = ("torch", "nnunetv2", "totalsegmentator", "SimpleITK")
"""A package's face imports none of these, so that the panel and the command's help need not wait for them."""

LARGEST_ROOM, LONGEST_FILE, LONGEST_FUNCTION = 12, 300, 40


def files() -> list[Path]:
    return sorted([*LIBRARY.rglob("*.py"), *PANEL.rglob("*.py")])


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree(path)))


def written(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """The dotted name that a file is imported by; the panel is on Python's path by its folder's content."""
    parts = path.with_suffix("").relative_to(ROOT if path.is_relative_to(LIBRARY) else PANEL).parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in files()}


@cache
def imported(path: Path) -> set[str]:
    """The modules of this repository that a file imports, wherever in the file."""
    found = {name for name in _names(path) if name in MODULES}
    return found - {module(path)}


def _names(path: Path) -> Iterator[str]:
    package = module(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            # `from package import module` is an import of the module, not of the package's face.
            yield from (name if name in MODULES else source for name in names)


def floor(name: str) -> int:
    """How high a module of the library lies; the panel lies above it."""
    parts = name.split(".")
    if parts[0] != "TuckerSegLib":
        return len(FLOORS)
    room = parts[1] if len(parts) > 1 else "the front door"
    heights = [height for height, rooms in enumerate(FLOORS) if room in rooms]
    assert heights, f"{room} has no floor: say in FLOORS from where it may import."
    return heights[0]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file and their lines, decorators left out.

    Of a command of Typer's, whose parameters are its list of options with their help, the body alone counts.
    """

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    start = child.body[0].lineno if _is_command(child) else child.lineno
                    yield name, (child.end_lineno or start) - start + 1
                yield from walk(child, f"{name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(tree(path), "")


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    annotations = [ast.unparse(one.annotation) for one in function.args.args if one.annotation]
    return any("typer.Option" in text or "typer.Argument" in text for text in annotations)


def first_line(path: Path) -> str:
    return (ast.get_docstring(tree(path)) or "").partition("\n")[0]


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """The modules that `start` imports, and those that they import in turn."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def rooms() -> list[Path]:
    return sorted({path.parent for path in files()})


def test_imports_walk_upwards_only() -> None:
    downwards = [
        (name, other) for name, path in MODULES.items() for other in imported(path) if floor(other) > floor(name)
    ]
    assert not downwards


def test_no_imports_run_in_a_circle() -> None:
    graph = {name: imported(path) for name, path in MODULES.items()}
    assert not [name for name in MODULES if name in reachable(graph, name)]


def test_no_private_name_crosses_files() -> None:
    crossing = {
        f"{written(path)}: {alias.name}"
        for path in files()
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("TuckerSeg"))
        for alias in node.names
        if alias.name.startswith("_")
    }
    assert not crossing


def test_no_room_is_crowded() -> None:
    counts = {written(room): len([p for p in room.glob("*.py") if p.name != "__init__.py"]) for room in rooms()}
    assert not {room: count for room, count in counts.items() if count > LARGEST_ROOM}


def test_no_file_is_long() -> None:
    lengths = {written(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_FILE}


def test_no_function_is_long() -> None:
    lengths = {f"{written(path)}: {name}": length for path in files() for name, length in functions(path)}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}


def test_every_file_and_room_begins_by_saying_what_belongs_there() -> None:
    assert not [written(path) for path in files() if not first_line(path).endswith((".", ":"))]


def test_packages_import_nothing_heavy() -> None:
    names = [name for name, path in MODULES.items() if path.name == "__init__.py" and path.is_relative_to(LIBRARY)]
    program = "\n".join(
        [
            "import importlib, sys",
            f"sys.modules.update(dict.fromkeys({HEAVY!r}))",
            f"for name in {names!r}: importlib.import_module(name)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_two_files_of_tests_have_one_name() -> None:
    """The second one would not be run: pytest takes it for the first."""
    names = [path.name for path in (ROOT / "Testing").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))

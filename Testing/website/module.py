"""The parameters of the 3D Slicer module as a page, from the class that reads and writes them."""

import ast
from pathlib import Path

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.engines.names import DEVICES, NAMES
from TuckerSegLib.segmentation.request import help_of

SOURCE = Path(__file__).resolve().parents[2] / "TuckerSeg" / "TuckerSegPanel" / "choices" / "parameters.py"

_HERE = {
    "volume": "The volume that is segmented.",
    "segmentation": "The segmentation that is filled; a new one otherwise.",
    "comparison": "The table of *By structure*.",
    "trade_off": "The chart of *All levels*.",
    "statistics": "The table of *Statistics*.",
    "standard_names": 'Segments are named in words: "right kidney".',
    "all_frames": "Of a sequence, every frame is segmented.",
    "leave_core_free": "All cores but one are taken, where there are more than two.",
}
"""What those mean that `Request` does not have."""

_KINDS = {
    "Reference": "a node of the scene",
    "Flag": "`true` or `false`",
    "Number": "a number in (0, 1]",
    "Names": "a JSON list",
    "Text": "text",
}


def page() -> str:
    """Markdown: one table, in the order of the class."""
    rows = [f"| `{name}` | {_values(kind, field)} | {_meaning(field)} |" for field, kind, name in parameters()]
    levels = ", ".join(f"{level:g}" for level in LEVELS)
    return (
        "# Parameters of the module\n\nAll choices of the panel live in the scene, in the module's parameter node: "
        "saving the scene saves them, and a script that changes the node changes the panel. Made from the code that "
        "reads it.\n\n"
        f"The slider has {len(LEVELS)} positions: {levels}. [The panel](../slicer.md) explains every control.\n\n"
        "| Parameter | Values | What it is |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def parameters() -> list[tuple[str, str, str]]:
    """Field, kind and parameter's name, as the class assigns them."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Parameters")
    return [
        (node.targets[0].id, node.value.func.id, str(ast.literal_eval(node.value.args[0])))
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
    ]


def _values(kind: str, field: str) -> str:
    chosen = {"device": DEVICES, "engine": NAMES}.get(field)
    return ", ".join(f"`{name}`" for name in chosen) if chosen else _KINDS[kind]


def _meaning(field: str) -> str:
    return _HERE.get(field) or help_of(field)

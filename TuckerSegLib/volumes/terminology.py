"""How a structure is shown and coded: its standard name, its colour, its SNOMED CT codes.

TotalSegmentator's own table of codes and colours is read where that package is installed, without importing it;
a structure the table does not know gets a colour made from its name, and no code.
"""

import colorsys
import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Color = tuple[float, float, float]

Row = Mapping[str, str]

_TABLE = Path("resources") / "totalsegmentator_snomed_mapping.csv"

_CONTEXT = "Segmentation category and type - DICOM master list"

_REGION_CONTEXT = "Anatomic codes - DICOM master list"

_CATEGORY, _TYPE, _MODIFIER = (f"SegmentedProperty{part}CodeSequence" for part in ("Category", "Type", "TypeModifier"))

_REGION, _REGION_MODIFIER = "AnatomicRegionSequence", "AnatomicRegionModifierSequence"

_MIN_DISTANCE = 20.0
"""Colours closer than this, of 255 in RGB, are hard to tell apart when their structures touch."""

_GRID_STEP = 15


_named: list[Path] = []
"""The table to read rather than the installed package's, at most one."""


@dataclass(frozen=True)
class SegmentStyle:
    """What a viewer needs to show one structure.

    Attributes:
        name: the structure as the network names it, such as `kidney_left`.
        label: the structure in words, such as `left kidney`.
        color: red, green and blue from 0 to 1; the same in every run.
        terminology: 3D Slicer's terminology entry, its seven parts separated by `~`; empty where no code is known.
    """

    name: str
    label: str
    color: Color
    terminology: str


def use_table(path: Path) -> None:
    """From now on codes and colours are those in this file, such as one that another Python of this computer has."""
    if _named != [path]:
        _named[:] = [path]
        _known_styles.cache_clear()


def style(name: str) -> SegmentStyle:
    """The name, colour and codes for a structure; never fails, whatever the name."""
    return _known_styles().get(name) or SegmentStyle(name, name.replace("_", " "), _color_from_name(name), "")


@cache
def _known_styles() -> dict[str, SegmentStyle]:
    rows = _table_rows()
    colors = _told_apart([_table_color(row) for row in rows])
    return {
        row["Structure"]: SegmentStyle(row["Structure"], _label(row), color, _terminology(row))
        for row, color in zip(rows, colors, strict=True)
    }


def _table_rows() -> list[Row]:
    table = table_path()
    if table is None:
        return []
    with table.open(newline="", encoding="utf-8") as file:
        rows = [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]
    return [row for row in rows if row.get("Structure")]


def table_path() -> Path | None:
    """The table that was named, else the one of the installed package; None where there is none."""
    if _named and _named[-1].is_file():
        return _named[-1]
    # find_spec locates the package without running it: importing it would load torch and nnU-Net.
    spec = find_spec("totalsegmentator")
    folders = spec.submodule_search_locations if spec else None
    table = Path(next(iter(folders))) / _TABLE if folders else None
    return table if table is not None and table.is_file() else None


def _code(row: Row, sequence: str) -> str:
    parts = ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")
    return "^".join(row.get(f"{sequence}.{part}", "") for part in parts)


def _meaning(row: Row, sequence: str) -> str:
    return row.get(f"{sequence}.CodeMeaning", "")


def _terminology(row: Row) -> str:
    if not _meaning(row, _TYPE):
        return ""
    kind = (_code(row, sequence) for sequence in (_CATEGORY, _TYPE, _MODIFIER))
    region = (_code(row, sequence) for sequence in (_REGION, _REGION_MODIFIER))
    return "~".join((_CONTEXT, *kind, _REGION_CONTEXT, *region))


def _label(row: Row) -> str:
    """`left kidney` from Kidney, Left; `cyst of left kidney` from Cyst in the region Kidney, Left."""
    words = _joined(_meaning(row, _MODIFIER), _meaning(row, _TYPE))
    region = _joined(_meaning(row, _REGION_MODIFIER), _meaning(row, _REGION))
    return " of ".join(filter(None, (words, region))) or row["Structure"].replace("_", " ")


def _joined(*meanings: str) -> str:
    return " ".join(_uncapitalised(meaning) for meaning in meanings if meaning)


def _uncapitalised(words: str) -> str:
    return words[0].lower() + words[1:] if words[1:2].islower() else words


def _table_color(row: Row) -> tuple[int, int, int]:
    try:
        red, green, blue = (int(part) for part in row["DicomRGBColor"].split(","))
    except (KeyError, ValueError):
        red, green, blue = (round(255 * part) for part in _color_from_name(row["Structure"]))
    return red, green, blue


def _told_apart(wanted: list[tuple[int, int, int]]) -> list[Color]:
    """Each colour as wanted (0 to 255) or, where an earlier one is too close, the nearest that no other is close to."""
    levels = np.arange(0, 256, _GRID_STEP, dtype=float)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    free = np.ones(len(grid), dtype=bool)
    given: list[npt.NDArray[np.float64]] = []
    for color in np.array(wanted, dtype=float).reshape(-1, 3):
        if given and _distance(np.array(given), color).min() < _MIN_DISTANCE and free.any():
            color = grid[free][_distance(grid[free], color).argmin()]
        given.append(color)
        free &= _distance(grid, color) >= _MIN_DISTANCE
    return [(red / 255, green / 255, blue / 255) for red, green, blue in np.array(given).reshape(-1, 3).tolist()]


def _distance(colors: npt.NDArray[np.float64], color: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    distances: npt.NDArray[np.float64] = np.linalg.norm(colors - color, axis=1)
    return distances


def _color_from_name(name: str) -> Color:
    # Python's own hash of a string differs from run to run.
    hue, saturation, value = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=3).digest()
    return colorsys.hsv_to_rgb(hue / 256, 0.5 + 0.5 * saturation / 255, 0.6 + 0.4 * value / 255)

"""The codes by which DICOM results say what a structure is: SNOMED CT where the table knows it, else one of our own."""

# mypy: allow-untyped-calls

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ...terminology import SegmentStyle

MAX_NAME = 64
"""Characters of a name or of a code's meaning in DICOM."""

OWN_SCHEME = "99TUCKERSEG"

_MAX_CODE = 16

_TISSUE = Code("85756007", "SCT", "Tissue")
"""The category of structures that no table codes."""


@dataclass(frozen=True)
class Codes:
    """What a structure is, in the parts that 3D Slicer's terminologies have, too."""

    category: Code
    kind: Code
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None


def codes_of(style: SegmentStyle) -> Codes:
    """The codes of a structure."""
    if not style.terminology:
        return Codes(_TISSUE, Code(style.name[:_MAX_CODE], OWN_SCHEME, style.label[:MAX_NAME]))
    _, category, kind, *others = style.terminology.split("~")
    modifier, _, region, region_modifier = map(_code, others)
    return Codes(_code(category) or _TISSUE, _code(kind) or _TISSUE, modifier, region, region_modifier)


def item(code: Code) -> Dataset:
    """The code as DICOM files have it."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return made


def _code(entry: str) -> Code | None:
    scheme, value, meaning = (*entry.split("^"), "", "")[:3]
    return Code(value, scheme, meaning) if value else None

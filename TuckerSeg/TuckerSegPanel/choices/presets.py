"""Sets of structures that are wanted together, by the names that networks give them."""

import re
from collections.abc import Sequence

from slicer.i18n import tr as _

ALL, CUSTOM = "all", "custom"

_PATTERNS = {
    "organs": r"liver|spleen|pancreas|gallbladder|stomach|heart|kidney(_left|_right)?|adrenal_gland.*|urinary_bladder"
    r"|lung(_.*lobe.*|_left|_right)?|brain|esophagus|trachea|duodenum|small_bowel|colon|prostate|thyroid_gland",
    "bones": r"vertebra.*|rib_.*|sternum|sacrum|hip_.*|femur.*|humerus.*|scapula.*|clavicula.*|skull|costal_cartilages"
    r"|spine|patella|tibia|fibula|.*_bone|bones?",
    "vessels": r"aorta|.*_artery.*|.*_vein.*|.*vena.*|pulmonary_vein|brachiocephalic.*|.*_trunk",
    "muscles": r"gluteus.*|autochthon.*|iliopsoas.*|.*muscle.*",
}


def titles() -> dict[str, str]:
    """What the sets are called."""
    return {
        ALL: _("All structures"),
        "organs": _("Main organs"),
        "bones": _("Bones"),
        "vessels": _("Vessels"),
        "muscles": _("Muscles"),
        CUSTOM: _("Custom (ticked below)"),
    }


def offered(names: Sequence[str]) -> list[str]:
    """The sets that a model with these structures has a part of, besides all and any."""
    some = [preset for preset in _PATTERNS if 0 < len(structures_of(preset, names)) < len(names)]
    return [ALL, *some, CUSTOM]


def structures_of(preset: str, names: Sequence[str]) -> list[str]:
    """The structures of a set among `names`; none, which stands for all, where it is no such set."""
    pattern = _PATTERNS.get(preset)
    return [name for name in names if re.fullmatch(pattern, name)] if pattern else []


def preset_of(chosen: Sequence[str], names: Sequence[str]) -> str:
    """The set that these structures are."""
    if not chosen:
        return ALL
    same = (preset for preset in _PATTERNS if set(structures_of(preset, names)) == set(chosen))
    return next(same, CUSTOM)

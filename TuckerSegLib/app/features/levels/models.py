"""The models on this computer, as the page lists them."""

from pathlib import Path

from ....models.installed import installed
from ....models.sample import SAMPLE, SMALL_SAMPLE


def offered() -> list[dict[str, str]]:
    """What `Request.model` can be here: `value`, with a `title` and a `hint` for the user."""
    return [_entry(name, path) for name, path in installed().items()]


def _entry(name: str, path: Path) -> dict[str, str]:
    if name == SAMPLE:
        hint = "A network for trying out, trained on phantoms; it comes with TuckerSeg and needs no download."
        return {"value": SAMPLE, "title": "Sample: torso CT", "hint": hint}
    if name == SMALL_SAMPLE:
        return {
            "value": name,
            "title": "Small sample: torso CT",
            "hint": "As the sample, with a twelfth of its parameters.",
        }
    if name == str(path):
        return {"value": name, "title": f"{path.parent.name} ({path.name.rpartition('__')[2]})", "hint": ""}
    return {"value": name, "title": f"{name} (TotalSegmentator)", "hint": ""}

"""The folders and files that the user browsed for, remembered in the application's settings, the last one first."""

import json
from pathlib import Path

from . import settings

SETTING = "TuckerSeg/Models"


def remembered() -> list[Path]:
    try:
        found = json.loads(settings.read(SETTING) or "[]")
    except ValueError:
        return []
    return [Path(str(key)) for key in found] if isinstance(found, list) else []


def remember(path: Path) -> None:
    """Puts it first."""
    paths = [path, *(known for known in remembered() if known != path)]
    settings.write(SETTING, json.dumps([str(known) for known in paths]))

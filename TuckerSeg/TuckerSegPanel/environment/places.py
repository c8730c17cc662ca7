"""Where the Python of TuckerSeg's own lies: in the user's data folder, apart from 3D Slicer's and from every other."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt

from TuckerSegLib.renaming import renamed

VARIABLE = "TUCKERSEG_ENVIRONMENT"
"""Names another folder for it, such as one that all users of a computer share."""

RESOURCES = Path(__file__).resolve().parents[2] / "Resources" / "Environment"

TORCH, PACKAGES, UV = RESOURCES / "torch.txt", RESOURCES / "packages.txt", RESOURCES / "uv.txt"
"""What is installed, pinned: PyTorch, whose build depends on the computer; everything else; and what installs them."""


@dataclass(frozen=True)
class Places:
    """The folder that all of it lies in, and what lies where in there."""

    root: Path

    @classmethod
    def of_user(cls) -> "Places":
        chosen = os.environ.get(VARIABLE)
        if chosen:
            return cls(Path(chosen))
        data = qt.QStandardPaths.writableLocation(qt.QStandardPaths.GenericDataLocation)
        return cls(Path(str(data)) / "TuckerSeg" / "environment")

    @property
    def uv_folder(self) -> Path:
        return self.root / "uv"

    @property
    def uv(self) -> Path:
        return self.uv_folder / "bin" / ("uv.exe" if sys.platform == "win32" else "uv")

    @property
    def interpreters(self) -> Path:
        """Where uv puts the interpreters that it fetches."""
        return self.root / "interpreters"

    @property
    def cache(self) -> Path:
        """What was downloaded, until everything is installed."""
        return self.root / "cache"

    @property
    def environment(self) -> Path:
        return self.root / "python"

    @property
    def python(self) -> Path:
        """The interpreter that runs the worker."""
        return self.environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def ready(self) -> bool:
        """Whether everything is installed, in the versions that this TuckerSeg pins."""
        return self.python.is_file() and self.told.get("pinned") == pinned()

    @property
    def begun(self) -> bool:
        """Whether something is there, be it unfinished or of another version."""
        return self.root.is_dir()

    @property
    def told(self) -> dict[str, Any]:
        """What was written down when all was installed; empty before that."""
        try:
            found = json.loads(self._marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def finish(self, told: dict[str, Any]) -> None:
        """Everything is installed: from now on it is ready."""
        unfinished = self._marker.with_suffix(".part")
        unfinished.write_text(json.dumps({**told, "pinned": pinned()}), encoding="utf-8")
        renamed(unfinished, self._marker)

    @property
    def _marker(self) -> Path:
        return self.root / "installed.json"


def pinned() -> str:
    """Changes with what is pinned."""
    return hashlib.sha256(TORCH.read_bytes() + PACKAGES.read_bytes()).hexdigest()

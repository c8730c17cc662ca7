"""What was measured of each case, kept in a folder, so that a study that was stopped goes on where it ended."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...decomposition.policies import Settings
from ...volumes.output import whole_file
from .scores import Score


@dataclass(frozen=True)
class Found:
    """One network on one case; `size` is in bytes, `agreement` the mean Dice with the original network's label map."""

    parameters: int
    size: int
    agreement: float
    seconds: float
    scores: Sequence[Score]


def key_of(fingerprint: str, case: str, settings: Settings, step: float, engine: str) -> str:
    """The SHA-256 of everything that a result depends on."""
    content = [fingerprint, case, settings, step, engine]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Kept:
    """One file a case in `folder`; nothing is kept where that is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, case: str) -> dict[str, Found]:
        """What is known of a case, by `key_of`; nothing where the file is missing or damaged."""
        path = self._path(case)
        if path is None or not path.exists():
            return {}
        try:
            content = json.loads(path.read_text())
            return {
                key: Found(**{**found, "scores": [Score(**one) for one in found["scores"]]})
                for key, found in content.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write(self, case: str, found: Mapping[str, Found]) -> None:
        """
        Raises:
            OutputError: the folder cannot be written to.
        """
        path = self._path(case)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                partial.write_text(json.dumps({key: asdict(one) for key, one in found.items()}))

    def _path(self, case: str) -> Path | None:
        return self._folder and self._folder / f"{case}.json"

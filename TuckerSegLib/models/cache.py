"""Compressed weights on disk, found again by what they were made from.

One file an entry, in the format of `models.compressed`, named by a SHA-256 over the source checkpoints' own, the
policy with all its settings, and the format's version. An entry appears whole or not at all, is made by one process
while others wait, and is checked whenever it is read.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from ..decomposition.policies import RankPolicy, Relative
from ..errors import InputError, ModelError, OutputError
from ..progress import Progress
from ..volumes.output import whole_file
from .compressed import FORMAT, compressed, describe, load, save
from .nnunet import TrainedModel

_log = logging.getLogger(__name__)

_DEFAULT_LIMIT = 5_000_000_000

FOLDER_VARIABLE = "TUCKERSEG_CACHE"
"""Names another folder than the platform's user cache directory."""


@dataclass(frozen=True)
class Entry:
    """One cached level: its file, the model's name, the policy's settings, bytes, and seconds since the epoch."""

    path: Path
    model: str
    policy: Mapping[str, str | int | float]
    size: int
    used: float


class Cache:
    """The compressed networks in one folder, the least recently used removed when they outgrow `limit` bytes."""

    def __init__(self, folder: Path | None = None) -> None:
        chosen = folder or os.environ.get(FOLDER_VARIABLE) or user_cache_path("tuckerseg", appauthor=False)
        self.folder = Path(chosen)

    def level(
        self, model: TrainedModel, policy: RankPolicy, progress: Progress | None = None
    ) -> tuple[TrainedModel, bool]:
        """`model` compressed by `policy`, and whether it was found here; made and kept when it was not.

        A model that is compressed already, and a policy that leaves the network whole, are given back as they are.

        Raises:
            InputError: the model is compressed already and the policy asks for another level.
        """
        if model.compression is not None:
            return _as_compressed(model, policy), True
        if policy == Relative(1.0):
            return model, True
        path = self.path_of(model, policy)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = _read(path)
                return (found, True) if found else (self._make(path, model, policy, progress), False)
        except OSError as error:
            _log.warning("The cache in %s cannot be used (%s): compressing without it.", self.folder, error.strerror)
            return compressed(model, policy, progress), False

    def path_of(self, model: TrainedModel, policy: RankPolicy) -> Path:
        """Where this level is, or would be."""
        key = {"source": model.fingerprint, "policy": policy.settings, "format": FORMAT}
        return self.folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}.safetensors"

    def entries(self) -> list[Entry]:
        """What is here, the last used first; files that cannot be read are listed with the name "damaged"."""
        return sorted(self._entries(), key=lambda entry: -entry.used)

    def clear(self) -> int:
        """Remove every entry that no process is making, and say how many bytes that freed."""
        freed = sum(entry.size for entry in self.entries() if _remove(entry.path))
        for leftover in self.folder.glob(".*.safetensors"):
            leftover.unlink(missing_ok=True)
        return freed

    @property
    def limit(self) -> int:
        """The size, in bytes, that the entries may have together."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads(self._settings.read_text())["limit"])
        return _DEFAULT_LIMIT

    @limit.setter
    def limit(self, size: int) -> None:
        if size < 0:
            raise InputError("The cache's size limit cannot be negative: choose 0 or more.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self._settings) as partial:
            partial.write_text(json.dumps({"limit": size}))
        self._shrink(keep=None)

    @property
    def _settings(self) -> Path:
        return self.folder / "settings.json"

    def _entries(self) -> Iterator[Entry]:
        for path in self.folder.glob("*.safetensors"):
            with suppress(FileNotFoundError):
                status = path.stat()
                name, policy = _described(path)
                yield Entry(path, name, policy, status.st_size, status.st_mtime)

    def _make(self, path: Path, model: TrainedModel, policy: RankPolicy, progress: Progress | None) -> TrainedModel:
        level = compressed(model, policy, progress)
        try:
            with whole_file(path) as partial:
                save(level, partial)
        except OutputError as error:
            _log.warning("The compressed weights could not be kept: %s", error)
        self._shrink(keep=path)
        return level

    def _shrink(self, keep: Path | None) -> None:
        """Remove what was used longest ago until the limit holds; never the entry in use."""
        entries = self.entries()
        excess = sum(entry.size for entry in entries) - self.limit
        for entry in reversed(entries):
            if excess > 0 and entry.path != keep and _remove(entry.path):
                excess -= entry.size


def _as_compressed(model: TrainedModel, policy: RankPolicy) -> TrainedModel:
    made_by = model.compression.policy if model.compression else {}
    if policy != Relative(1.0) and dict(policy.settings) != dict(made_by):
        raise InputError(
            f"{model.name} is compressed already, at factor {made_by.get('factor')}: "
            "leave the factor out, or start from the original model."
        )
    return model


def _described(path: Path) -> tuple[str, Mapping[str, str | int | float]]:
    try:
        return describe(path)
    except ModelError:
        return "damaged", {}


def _read(path: Path) -> TrainedModel | None:
    """The entry, marked as used now; None when there is none, or none that can be trusted."""
    if not path.exists():
        return None
    try:
        model = load(path)
    except ModelError as error:
        _log.warning("A cached level is made anew: %s", error)
        return None
    os.utime(path)
    return model


def _remove(path: Path) -> bool:
    lock = path.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0):
            path.unlink(missing_ok=True)
    except (Timeout, OSError):
        return False
    lock.unlink(missing_ok=True)
    return True

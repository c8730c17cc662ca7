"""Compressed weights on disk, found again by what they were made from.

One file an entry, in the format of `models.compressed`, named by a SHA-256 over the source checkpoints' own, the
policy with all its settings, and the format's version. An entry is made by one process while others wait, and is
checked whenever it is read.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..decomposition.policies import Policy
from ..errors import InputError, ModelError, OutputError, is_full_disk
from ..folders import cache_folder
from ..lru_folder import LruFolder
from ..progress import Progress
from .compressed import FORMAT, compressed, describe, load, save
from .nnunet import TrainedModel

_log = logging.getLogger(__name__)

_DEFAULT_LIMIT = 5_000_000_000

_SUFFIX = ".safetensors"

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Entry:
    """One compressed model: its file, the model's name, the policy's settings, bytes, and seconds since the epoch.

    A file that cannot be read has "damaged" for the model's name, one that is not written to its end "unfinished".
    """

    path: Path
    model: str
    policy: Mapping[str, str | int | float]
    size: int
    used: float


class Cache:
    """The compressed networks in one folder, the least recently used removed when they outgrow `limit` bytes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()
        self._files = LruFolder(self.folder, _SUFFIX)

    def compressed(
        self, model: TrainedModel, policy: Policy, progress: Progress | None = None
    ) -> tuple[TrainedModel, bool]:
        """`model` compressed by `policy`, and whether it was found here; made and kept when it was not.

        A model that is compressed already, and a policy that leaves the network whole, are given back as they are.

        Raises:
            InputError: the model is compressed already and the policy asks for something else.
        """
        if model.compression is not None:
            return _as_compressed(model, policy), True
        if policy.keeps_all:
            return model, True
        path = self.path_of(model, policy)
        try:
            with self._files.locked(path.name):
                found = _read(path)
                return (found, True) if found else (self._make(path, model, policy, progress), False)
        except OSError as error:
            _log.warning("The cache in %s cannot be used (%s): compressing without it.", self.folder, error.strerror)
            return compressed(model, policy, progress), False

    def path_of(self, model: TrainedModel, policy: Policy) -> Path:
        """Where the compressed model is, or would be."""
        key = {"source": model.fingerprint, "policy": policy.settings, "format": FORMAT}
        return self.folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}{_SUFFIX}"

    def entries(self) -> list[Entry]:
        """What is here, the last used first."""
        entries = [Entry(file.path, *_described(file.path), file.size, file.used) for file in self._files.files()]
        unfinished = [Entry(file.path, "unfinished", {}, file.size, file.used) for file in self._files.unfinished()]
        return sorted((*entries, *unfinished), key=lambda entry: -entry.used)

    @property
    def size(self) -> int:
        """Bytes that all entries take."""
        return self._files.size

    def clear(self) -> int:
        """Remove every entry that no process is making, and say how many bytes that freed."""
        return self._files.clear()

    @property
    def limit(self) -> int:
        """The size, in bytes, that the entries may have together."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads((self.folder / _SETTINGS).read_text())["limit"])
        return _DEFAULT_LIMIT

    @limit.setter
    def limit(self, size: int) -> None:
        if size < 0:
            raise InputError("The cache's size limit cannot be negative: choose 0 or more.")
        try:
            with self._files.locked(_SETTINGS), self._files.written(_SETTINGS) as partial:
                partial.write_text(json.dumps({"limit": size}))
        except OSError as error:
            raise OutputError(f"The limit could not be kept in {self.folder} ({error.strerror}).") from error
        self._files.shrink(size)

    def _make(self, path: Path, model: TrainedModel, policy: Policy, progress: Progress | None) -> TrainedModel:
        small = compressed(model, policy, progress)
        try:
            with self._files.written(path.name) as partial:
                save(small, partial)
        except OSError as error:
            reason = "the disk is full" if is_full_disk(error) else error.strerror or error
            _log.warning("The compressed weights could not be kept in %s: %s.", self.folder, reason)
        self._files.shrink(self.limit, keep=path.name)
        return small


def _as_compressed(model: TrainedModel, policy: Policy) -> TrainedModel:
    made_by = model.compression.policy if model.compression else {}
    if not policy.keeps_all and dict(policy.settings) != dict(made_by):
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
        _log.warning("A compressed model is made anew: %s", error)
        return None
    with suppress(OSError):  # a folder that is only read
        os.utime(path)
    return model

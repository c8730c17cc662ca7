"""What is kept on disk and could be made again, and what was once chosen on this computer."""

import contextlib
import hashlib
import json
import logging
import os
import stat
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import InputError
from .lru_folder import LruFolder

_log = logging.getLogger(__name__)

_SECONDS_TO_WAIT = 60
"""For another process that writes the same content; what is kept here can be done without."""

_FOLDER = "engines"

_CHOICES = "choices"
"""The folder of choices. They take no room, and others would give other results: nothing removes them by itself."""

CHOICES_VARIABLE = "TUCKERSEG_CHOICES"
"""Names a file that holds choices, in place of those that this computer made or would make."""

_LIMIT = 3_000_000_000
"""Bytes that all files of a `Store` may take together."""

Json = dict[str, Any]


class Store:
    """What engines keep in a cache folder, found again by the text of what it was made from.

    A folder that cannot be used costs time, never the run.
    """

    def __init__(self, cache: Path) -> None:
        self._files, self._choices = LruFolder(cache / _FOLDER), LruFolder(cache / _CHOICES)
        self.chosen: dict[str, Json] = {}
        """The choices that were asked for or made so far, which together with the request decide a result."""
        self._complained = False
        self._written = _LIMIT
        """Bytes since all files were last looked at, which takes longer than to write a small one."""

    def choice(self, key: str) -> Json | None:
        """What was chosen under `key`, in the file that `CHOICES_VARIABLE` names or on this computer.

        Raises:
            InputError: there is such a file, and it cannot be used.
        """
        found = self._pinned.get(key) or self._kept_choice(key)
        if found is not None:
            self.chosen[key] = found
        return found

    def choose(self, key: str, content: Mapping[str, Any]) -> Json:
        """Keep a choice for good, and give back the one that holds: that of another process, if it was there first.

        Raises:
            InputError: as `choice`.
        """
        if self._pinned:
            _log.warning(
                "The choices in %s do not hold for all of this run, which was made on another computer, by other "
                "versions, or of another model or level: what they lack was chosen here.",
                os.environ[CHOICES_VARIABLE],
            )
        name, found = _name(key), dict(content)
        try:
            with self._choices.locked(name, _SECONDS_TO_WAIT):
                kept = self._kept_choice(key)
                if kept is None:
                    with self._choices.written(name) as partial:
                        partial.write_text(json.dumps({key: found}))
                found = kept or found
        except OSError as error:
            self._complain_once(self._choices.path, error)
        self.chosen[key] = found
        return found

    def forget_choices(self) -> int:
        """Remove the choices made on this computer, so that they are made anew; bytes freed."""
        return self._choices.clear()

    @cached_property
    def _pinned(self) -> dict[str, Json]:
        named = os.environ.get(CHOICES_VARIABLE)
        return _choices_in(Path(named)) if named else {}

    def _kept_choice(self, key: str) -> Json | None:
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
            found = json.loads((self._choices.path / _name(key)).read_bytes()).get(key)
            return found if isinstance(found, dict) else None
        return None

    def read(self, key: str) -> bytes | None:
        """What was written under `key`, now marked as used; None where there is nothing, or nothing readable."""
        path = self._files.path / _name(key)
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            with contextlib.suppress(OSError):
                os.utime(path)
            return content
        return None

    def read_own(self, key: str) -> bytes | None:
        """As `read`, but nothing that another user may have written: for what will be executed."""
        with contextlib.suppress(OSError):
            status = (self._files.path / _name(key)).stat()
            is_own = sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH)
            return self.read(key) if is_own else None
        return None

    def write(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        name = _name(key)
        try:
            with self._files.locked(name, _SECONDS_TO_WAIT), self._files.written(name) as partial:
                partial.write_bytes(content)
            self._written += len(content)
            if self._written > _LIMIT // 100:
                self._files.shrink(_LIMIT, keep=name)
                self._written = 0
        except OSError as error:
            self._complain_once(self._files.path, error)

    def _complain_once(self, folder: Path, error: OSError) -> None:
        level, self._complained = logging.DEBUG if self._complained else logging.WARNING, True
        _log.log(level, "Nothing could be kept in %s (%s).", folder, error.strerror or error)

    def forget(self, key: str) -> None:
        """Remove what is kept under `key`."""
        self._files.remove(_name(key))

    def read_json(self, key: str) -> Json | None:
        """As `read`, for an object that `write_json` wrote."""
        with contextlib.suppress(ValueError):
            content = json.loads(self.read(key) or b"null")
            return content if isinstance(content, dict) else None
        return None

    def write_json(self, key: str, content: Mapping[str, Any]) -> None:
        """As `write`, for an object."""
        self.write(key, json.dumps(content).encode())

    @property
    def size(self) -> int:
        """Bytes that all files take."""
        return self._files.size

    def clear(self) -> int:
        """Remove all files, and say how many bytes that freed."""
        return self._files.clear()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _choices_in(path: Path) -> dict[str, Json]:
    """The choices in a file: those of a result, or the whole account of a run, of one scan or of many."""
    try:
        if not path.is_file():
            raise OSError("no such file")
        content = json.loads(path.read_bytes())
        runs = content.get("segmentations", [content])
        found = {key: one for run in runs for key, one in run.get("choices", run).items()}
        if found and all(isinstance(one, dict) for one in found.values()):
            return found
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise InputError(f"{path}, which {CHOICES_VARIABLE} names, holds no choices that can be read.") from error
    raise InputError(f"{path}, which {CHOICES_VARIABLE} names, holds no choices of a run.")

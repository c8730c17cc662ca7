"""What became of every scan of a cohort: a line of JSON for each event, on the disk before anything goes on.

Only ever added to, by one process, so that no moment exists at which a kill could lose what was known: a line that was
cut off is left out when the file is read. SQLite would need locks that shared file systems do not keep reliably.

Events: "cohort" (the settings, first), "done", "failed" and "set aside" (a scan's end, with all that is known of it),
"died" (the worker that was at it), "interrupted" (everything ended while a worker was at it), "retry" (it is to be done
again).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from .places import unwritable

Json = dict[str, Any]

FORMAT = 1

DONE, FAILED, SET_ASIDE = "done", "failed", "set aside"

_ENDS = (DONE, FAILED, SET_ASIDE)


@dataclass
class Known:
    """What a manifest says.

    Attributes:
        settings: with what the cohort is made; empty before it began.
        records: how each scan ended, by its id.
        deaths: for each scan, why the workers that were at it died, since it was last asked for.
        interrupted: scans that were under way when everything ended.
    """

    settings: Json = field(default_factory=dict)
    records: dict[str, Json] = field(default_factory=dict)
    deaths: dict[str, list[str]] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)

    def take(self, event: Json) -> None:
        """Learn of an event."""
        kind, scan = event["event"], event.get("id", "")
        if kind == "cohort":
            self.settings = event
        elif kind in _ENDS:
            self.records[scan] = event
            self.deaths.pop(scan, None)
        elif kind == "died":
            self.deaths.setdefault(scan, []).append(event["reason"])
        elif kind == "interrupted":
            self.interrupted.add(scan)
        elif kind == "retry":
            self.records.pop(scan, None)
            self.deaths.pop(scan, None)

    def of_state(self, state: str) -> list[Json]:
        """The records of the scans that ended so."""
        return [record for record in self.records.values() if record["event"] == state]


def read_manifest(path: Path) -> Known:
    """What the manifest at `path` says; nothing where there is none.

    Raises:
        InputError: it cannot be read, or another version of TuckerSeg wrote it.
    """
    known = Known()
    try:
        with path.open("rb") as file:
            for line in file:
                event = _event(line)
                if event is not None:
                    known.take(event)
    except FileNotFoundError:
        return known
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): ask for access to it.") from error
    if known.settings.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} is of another version of TuckerSeg: install that one, or choose another folder.")
    return known


def _event(line: bytes) -> Json | None:
    """The event in a line; none in one that was cut off."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


class Manifest:
    """A manifest that is written to; `known` is what it says."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            InputError: as `read_manifest`.
            OutputError: it cannot be written.
        """
        self._path = path
        self.known = read_manifest(path)
        try:
            self._file: IO[bytes] = path.open("ab", buffering=0)
            if path.stat().st_size and path.read_bytes()[-1:] != b"\n":
                self._file.write(b"\n")  # after a line that was cut off
        except OSError as error:
            raise unwritable(path, error) from error

    def add(self, event: str, content: Mapping[str, Any]) -> Json:
        """Write an event, with the time; it is on the disk when this returns.

        Raises:
            OutputError: the disk is full, or gone.
        """
        whole = {"event": event, "time": datetime.now(UTC).isoformat(timespec="seconds"), **content}
        line = json.dumps(whole, default=str, ensure_ascii=False).encode() + b"\n"
        try:
            written = self._file.write(line)
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error
        self.known.take(whole)
        return whole

    def close(self) -> None:
        self._file.close()

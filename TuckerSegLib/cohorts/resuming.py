"""What is still to be done, from what the manifest says, what workers left on the disk, and the scans there are now."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .cohort import Cohort
from .manifest import DONE, FAILED, SET_ASIDE, Json, Manifest
from .scans.inputs import Found, find_scans
from .scans.scan import Scan

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Waiting:
    """A scan to be done, of so many bytes; `known` is the digest of which there is a result, or empty."""

    scan: Scan
    size: int
    known: str = ""


def recover(cohort: Cohort, manifest: Manifest) -> list[Json]:
    """Take over what workers finished and nobody wrote down, and forget what they left half-done.

    Returns the records that are new.
    """
    places, found = cohort.places, []
    finished = {record.get("token") for record in manifest.known.records.values()}
    for outcome in sorted(places.outcomes.iterdir()):
        told = read_left(outcome)
        if told is not None and told["token"] not in finished:
            finished.add(told["token"])
            found.append(manifest.add(told.pop("event"), told))
        outcome.unlink(missing_ok=True)
    for mark in sorted(places.running.iterdir()):
        told = read_left(mark)
        if told is not None and mark.name not in finished:
            manifest.add("interrupted", {"id": told["id"], "worker": told["worker"]})
        mark.unlink(missing_ok=True)
    places.forget_unfinished()
    return found


def read_left(path: Path) -> Json | None:
    """What a worker wrote; none where it was killed meanwhile."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def to_do(cohort: Cohort, manifest: Manifest, tell: Tell) -> tuple[list[Waiting], list[Json]]:
    """The scans to be done, the largest first and those last in whose time everything ended; and those refused now.

    Raises:
        InputError: as `find_scans`.
    """
    found = find_scans(cohort.inputs, cohort.results, cohort.images, cohort.name)
    _check_scans_stay(found, cohort)
    refused = _refuse(found, manifest)
    waiting = [one for scan in found.scans if (one := _waiting(scan, cohort, manifest, tell)) is not None]
    gone = set(manifest.known.records) - {scan.id for scan in found.scans} - set(found.refused)
    if gone:
        tell(f"{len(gone):,} scans of earlier are no longer in {cohort.inputs}: what is known of them stays.")
    late = manifest.known.interrupted
    return sorted(waiting, key=lambda one: (one.scan.id in late, -one.size, one.scan.id)), refused


def _check_scans_stay(found: Found, cohort: Cohort) -> None:
    for scan in found.scans:
        place = cohort.places.result(scan.id, cohort.writing.suffix)
        if place in [channel.resolve() for channel in scan.channels]:
            raise InputError(f"The result of {scan.id} would overwrite its image {place}: choose another folder.")


def _refuse(found: Found, manifest: Manifest) -> list[Json]:
    new = []
    for scan, sentence in found.refused.items():
        before = manifest.known.records.get(scan)
        if before is None or before["event"] != FAILED or before["sentence"] != sentence:
            new.append(manifest.add(FAILED, {"id": scan, "sentence": sentence}))
    return new


def _waiting(scan: Scan, cohort: Cohort, manifest: Manifest, tell: Tell) -> Waiting | None:
    """The scan, if it is not done, or is not what it was then."""
    record = manifest.known.records.get(scan.id)
    if record is None:
        return Waiting(scan, scan.size())
    if record["event"] == DONE and not _is_there(scan.id, record, cohort):
        tell(f"The result of {scan.id} is gone, or was changed: it is made again.")
        return Waiting(scan, scan.size())
    if record.get("input", {}).get("stamp") == scan.stamp():
        return None
    return Waiting(scan, scan.size(), record["input"]["sha256"] if record["event"] == DONE else "")


def _is_there(name: str, record: Json, cohort: Cohort) -> bool:
    try:
        size = cohort.places.result(name, cohort.writing.suffix).stat().st_size
    except OSError:
        return False
    return bool(size == record["result"]["bytes"])


def retry(manifest: Manifest) -> Sequence[str]:
    """Have the scans that failed or were set aside done again; gives their ids.

    Raises:
        InputError: there are none.
    """
    again = [record["id"] for state in (FAILED, SET_ASIDE) for record in manifest.known.of_state(state)]
    if not again:
        raise InputError("No scan failed and none was set aside: there is nothing to try again.")
    for scan in again:
        manifest.add("retry", {"id": scan})
    return again

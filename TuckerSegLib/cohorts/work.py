"""What a worker does with a scan: reads it, has the network's process segment it, and leaves a whole result.

Each worker has one process with the network, which stays warm from scan to scan, as `tuckerseg segment` has. A mark
on the disk says that the worker is at the scan; it goes when the scan is done with, so that one that is found later
tells of a worker that died. What was done is written down before the mark goes, so that it is known even if nobody
was left to be told.
"""

import hashlib
import json
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from distributed import get_worker

from ..engines import memory
from ..errors import InputError, ModelError, NotEnoughMemory, OutputError, WorkerError
from ..segmentation.request import Request
from ..segmentation.result import Segmentation
from ..volumes.dicom.archive import ArchiveClosed
from ..volumes.files import read_volume
from ..volumes.output import SEGMENTATION_SUFFIX, whole_file
from ..volumes.statistics import Statistics, statistics
from ..volumes.volume import Volume
from ..worker.client import Client
from .manifest import DONE, FAILED, Json
from .packages import difference, versions
from .places import Places
from .scans.scan import Scan

DIED, STOPPED, OTHER_VERSION, UNCHANGED = "died", "stopped", "other version", "unchanged"
"""How an attempt can end besides as a scan does: the worker or its network's process died, nothing can be written or
opened by anyone, this worker is not like the others, or the scan is as it was when its result was made."""

_ONE_AT_A_TIME = threading.Lock()
"""A worker with several threads has one network all the same."""

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Writing:
    """How results are written, and whether crooked series are straightened before."""

    suffix: str = SEGMENTATION_SUFFIX
    standard_names: bool = False
    straighten: bool = False


@dataclass(frozen=True)
class Attempt:
    """A scan to be segmented, once.

    Attributes:
        token: names this attempt and no other.
        threads: cores that the network may take; those that the worker was given where it is 0.
        environment: variables of the client's that decide where models and caches are.
        versions: of the client's packages.
        known: the digest of the scan of which there is a result already; empty where there is none.
    """

    scan: Scan
    request: Request
    writing: Writing
    places: Places
    token: str
    threads: int
    environment: Mapping[str, str]
    versions: Mapping[str, str]
    known: str = ""


def attempt(wanted: Attempt) -> Json:
    """Segment a scan on this worker, and tell how that ended; it raises nothing that one scan can be the reason of."""
    differs = difference(dict(wanted.versions), versions())
    if differs:
        return {"event": OTHER_VERSION, "worker": get_worker().address, "sentence": differs}
    with _ONE_AT_A_TIME:
        outcome = wanted.places.outcomes / wanted.token
        mark = wanted.places.running / wanted.token
        if outcome.exists():  # the worker before this one got that far
            return _read(outcome)
        if mark.exists():
            return {"event": DIED, "reason": "its worker died"}
        try:
            mark.write_text(json.dumps({"id": wanted.scan.id, "worker": _worker()}), encoding="utf-8")
        except OSError as error:
            return {"event": STOPPED, "sentence": f"{mark} cannot be written ({error.strerror}): free some space."}
        ended = _ended(wanted)
        mark.unlink(missing_ok=True)
        return ended


def _read(outcome: Path) -> Json:
    told: Json = json.loads(outcome.read_text(encoding="utf-8"))
    return told


def _ended(wanted: Attempt) -> Json:
    """How the attempt ended; written down where the scan ended with it."""
    common = {"id": wanted.scan.id, "token": wanted.token, "columns": dict(wanted.scan.columns), "worker": _worker()}
    try:
        told = {**common, **_segmented(wanted)}
        if told["event"] == DONE:
            _write_down(told, wanted)
    except WorkerError as error:
        return {"event": DIED, "reason": str(error)}
    except (ArchiveClosed, ModelError, OutputError) as error:
        return {"event": STOPPED, "sentence": str(error)}
    except (InputError, NotEnoughMemory) as error:
        return _failed(common, str(error), wanted)
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        return _failed(common, f"The run failed unexpectedly ({type(error).__name__}: {reason}).", wanted)
    finally:
        shutil.rmtree(wanted.places.unfinished / wanted.token, ignore_errors=True)
    return told


def _failed(common: Json, sentence: str, wanted: Attempt) -> Json:
    told = {"event": FAILED, **common, "sentence": sentence, "input": {"stamp": wanted.scan.stamp()}}
    try:
        _write_down(told, wanted)
    except OutputError as error:
        return {"event": STOPPED, "sentence": str(error)}
    return told


def _write_down(told: Json, wanted: Attempt) -> None:
    with whole_file(wanted.places.outcomes / wanted.token) as partial:
        partial.write_text(json.dumps(told, default=str), encoding="utf-8")


def _segmented(wanted: Attempt) -> Json:
    memory.start_peak()
    clock = _Clock()
    with ExitStack() as fetched:
        scan = clock.time("fetch", lambda: fetched.enter_context(wanted.scan.at_hand()))
        return _segmented_here(scan, wanted, clock)


def _segmented_here(scan: Scan, wanted: Attempt, clock: "_Clock") -> Json:
    """Of a scan whose files are at hand."""
    source = {"stamp": wanted.scan.stamp(), "bytes": scan.size(), "sha256": clock.time("hash", scan.digest)}
    if source["sha256"] == wanted.known:
        return {"event": UNCHANGED, "input": source}
    image = clock.time("read", lambda: read_volume(scan.channels, wanted.writing.straighten))
    found = clock.time("segment", lambda: _segment(image, wanted))
    measured = clock.time("measure", lambda: statistics(image, found.label_map))
    result = clock.time("write", lambda: _written(found, scan, wanted))
    return {
        "event": DONE,
        "input": source,
        "result": result,
        "grid": {"shape": list(image.geometry.shape), "spacing": list(image.geometry.spacing)},
        "seconds": {**clock.seconds, "stages": dict(found.seconds), "all": clock.all()},
        "peak_memory": found.peak_memory + memory.peak_since_start(),
        "threads": wanted.threads,
        "model": found.model,
        "policy": dict(found.policy),
        "engine": found.engine,
        "agreement": found.check and round(found.check.agreement, 4),
        "checks": {network: asdict(one) for network, one in found.checks.items()},
        "warnings": list(found.warnings),
        "versions": dict(wanted.versions),
        "structures": [_numbers(one) for one in measured if one.n_voxels],
    }


class _Clock:
    """Seconds of each part of an attempt."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def time(self, name: str, part: Callable[[], Kept]) -> Kept:
        before = time.perf_counter()
        found = part()
        self.seconds[name] = round(time.perf_counter() - before, 4)
        return found

    def all(self) -> float:
        return round(time.perf_counter() - self._began, 4)


def _segment(image: Volume, wanted: Attempt) -> Segmentation:
    client = _client(wanted.threads, tuple(sorted(wanted.environment.items())))
    found: Segmentation = client.segment(image, wanted.request).wait()
    return found


@lru_cache(maxsize=1)
def _client(threads: int, variables: tuple[tuple[str, str], ...]) -> Client:
    """The process with the network, which all scans of this worker share; another one where other cores are wanted."""
    os.environ.update(variables)
    os.environ["OMP_NUM_THREADS"] = str(threads or _own_threads())
    return Client()


def _own_threads() -> int:
    """Those that the cluster gave this worker."""
    return int(get_worker().state.nthreads)


def _written(found: Segmentation, scan: Scan, wanted: Attempt) -> Json:
    """The result in its place: written elsewhere on the same disk, and moved there whole."""
    place = wanted.places.result(wanted.scan.id, wanted.writing.suffix)
    with _unfinished(wanted.places.unfinished / wanted.token, place) as partial:
        found.save(partial, wanted.writing.standard_names, scan.channels[0])
        content = partial.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@contextmanager
def _unfinished(folder: Path, place: Path) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        yield folder / place.name
        os.replace(folder / place.name, place)
    except OSError as error:
        raise OutputError(f"{place} cannot be written ({error.strerror}): choose another folder.") from error


def _numbers(one: Statistics) -> Json:
    """Intensities to four digits after the point: the manifest holds them for every structure of every scan."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(one).items()}


def _worker() -> str:
    return f"{platform.node()}:{os.getpid()}"

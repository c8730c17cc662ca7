"""The run of a cohort: scans to workers, what they tell into the manifest, until nothing is left to be done."""

import os
import queue
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..errors import WorkerError
from ..volumes.dicom.archive import CREDENTIALS
from .clusters import Cluster, Where, cluster, own_cores, own_memory
from .cohort import Cohort, opened
from .expected import Expected, expected, workers_that_fit
from .manifest import DONE, SET_ASIDE, Json, Manifest
from .packages import versions
from .places import new_token
from .resuming import Waiting, read_left, recover, retry, to_do
from .scans.archived import Query
from .scans.tables import write_measurements
from .work import DIED, OTHER_VERSION, STOPPED, UNCHANGED, Attempt, attempt

_DEATHS = 2
"""A scan that so many workers died at is set aside."""

_LOSSES = 5
"""A scan that so many workers were lost before they began with it is treated as if they had died at it."""

_AHEAD = 2
"""Scans handed out for each worker, so that none waits for the next."""

_SECONDS_BETWEEN_LOOKS = 1.0

_PATIENCE = 30.0
"""Seconds without any worker, after which that is said."""

_LOST = "lost"
"""Dask has lost an attempt that no worker had begun."""

_VARIABLES = ("TUCKERSEG_", "TOTALSEG_", "nnUNet_")
"""How the names of environment variables begin that say where models and caches are."""


@dataclass
class Listener:
    """Whoever watches a run; each function is called with what has just become known."""

    says: Callable[[str], None] = lambda sentence: None
    expects: Callable[[Expected], None] = lambda expected: None
    begins: Callable[[int, int], None] = lambda done, total: None
    dashboard: Callable[[str], None] = lambda address: None


@dataclass
class _Running:
    """A scan that a worker has, or waits for one."""

    waiting: Waiting
    token: str
    future: Any = field(repr=False)


def run(
    cohort: Cohort, where: Where | None = None, listener: Listener | None = None, again: bool = False
) -> Iterator[Json]:
    """Segment what is not segmented yet; gives the record of each scan as soon as the manifest has it.

    With `again`, scans that failed or were set aside are tried once more. Whatever ends it, the same call goes on.

    Raises:
        InputError, ModelError, OutputError: as `opened` and `find_scans`.
        WorkerError: the scheduler cannot be reached or is gone, or no worker can be used.
    """
    where, listener = where or Where(), listener or Listener()
    with opened(cohort) as manifest:
        fresh = recover(cohort, manifest)
        if again:
            listener.says(f"{len(retry(manifest)):,} scans are tried again.")
        waiting, refused = to_do(cohort, manifest, listener.says)
        done = len(set(manifest.known.records) - {one.scan.id for one in waiting})
        listener.begins(done, done + len(waiting))
        try:
            yield from [*fresh, *refused]
            if waiting:
                with cluster(where, cohort.places.logs) as workers:
                    yield from _Run(cohort, manifest, workers, where, listener, waiting).records()
        finally:
            if where.local:  # its workers have ended with the run, so that what they left is nobody's any more
                recover(cohort, manifest)
            write_measurements(
                sorted(manifest.known.records.values(), key=lambda record: record["id"]),
                [cohort.places.measurements(suffix) for suffix in (".parquet", ".csv")],
            )


class _Run:
    """One run with the workers of one cluster."""

    def __init__(
        self,
        cohort: Cohort,
        manifest: Manifest,
        workers: Cluster,
        where: Where,
        listener: Listener,
        waiting: Sequence[Waiting],
    ) -> None:
        self._cohort, self._manifest, self._workers = cohort, manifest, workers
        self._where, self._listener = where, listener
        self._waiting = deque(waiting)
        self._running: dict[str, _Running] = {}
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._numbers = count(1)
        self._unfit: set[str] = set()
        self._losses: Counter[str] = Counter()
        self._threads = cohort.request.threads if where.local and cohort.request.threads > 0 else workers.threads
        self._settled, self._alone = False, 0.0
        self._versions = versions()
        self._environment = _passed_on(cohort, workers)

    def records(self) -> Iterator[Json]:
        """Each record once the manifest has it."""
        if self._workers.dashboard:
            self._listener.dashboard(self._workers.dashboard)
        while self._waiting or self._running:
            self._check_scheduler()
            self._settle_size()
            self._hand_out()
            try:
                token = self._finished.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                self._look_for_workers()
                continue
            record = self._take(self._running.pop(token))
            if record is not None:
                yield record

    def _look_for_workers(self) -> None:
        """Whoever waits for nobody is told so, once."""
        self._alone = 0.0 if self._workers.workers() else self._alone + _SECONDS_BETWEEN_LOOKS
        if self._alone == _PATIENCE:
            self._listener.says("No worker is there yet: the run goes on waiting for one.")

    def _settle_size(self) -> None:
        """Once a scan is done, as many workers as fit; until then one, which prepares what all of them need."""
        records = self._manifest.known.of_state(DONE)
        if self._settled or not records:
            return
        if self._where.local:
            most = self._where.workers
            wanted = max(self._cohort.request.threads, 0)
            workers = workers_that_fit(records, max(1, own_cores() // max(wanted, 1)), own_memory(), most)
            threads = wanted or max(1, own_cores() // workers)
            if threads != self._threads and not any(record["threads"] == threads for record in records):
                self._threads = threads  # the next scan, alone too, prepares for as many
                return
            self._threads = threads
            self._workers.scale(min(workers, max(len(self._waiting), 1)))
        else:
            workers = len(self._workers.workers()) or self._where.workers or 1
        self._settled = True
        sizes = [one.size for one in self._waiting]
        if sizes:
            self._tell(expected(records, sizes, workers, self._threads))

    def _tell(self, expected: Expected) -> None:
        self._listener.expects(expected)
        free = shutil.disk_usage(self._cohort.places.results).free
        if expected.disk > free:
            self._listener.says(f"Only {free / 1e9:.1f} GB are free in {self._cohort.results}: make room in time.")

    def _hand_out(self) -> None:
        room = _AHEAD * max(1, len(self._fit())) if self._settled else 1
        while self._waiting and len(self._running) < room:
            self._submit(self._waiting.popleft())

    def _fit(self) -> list[str]:
        """The workers that can be used."""
        return [worker for worker in self._workers.workers() if worker not in self._unfit]

    def _submit(self, waiting: Waiting) -> None:
        token = new_token(waiting.scan.id)
        wanted = Attempt(
            waiting.scan,
            self._cohort.request,
            self._cohort.writing,
            self._cohort.places,
            token,
            self._threads,
            self._environment,
            self._versions,
            waiting.known,
        )
        future = self._workers.client.submit(
            attempt,
            wanted,
            key=f"scan-{next(self._numbers)}-{token}",  # no names of patients on Dask's pages
            workers=self._fit() if self._unfit else None,
            pure=False,
        )
        self._running[token] = _Running(waiting, token, future)
        future.add_done_callback(lambda _: self._finished.put(token))

    def _take(self, running: _Running) -> Json | None:
        """What became of an attempt; the record, where the scan ended with it."""
        told = self._told(running)
        kind = told.pop("event")
        if kind == DIED:
            return self._died(running.waiting, told["reason"])
        if kind == STOPPED:
            raise WorkerError(f"{told['sentence']} The run stopped; the same command goes on.")
        if kind == OTHER_VERSION:
            self._refuse_worker(running, told)
            return None
        if kind == _LOST:
            return self._lose(running.waiting)
        if kind == UNCHANGED:
            kind, told = DONE, {**self._manifest.known.records[running.waiting.scan.id], "input": told["input"]}
            told.pop("event")
        record = self._manifest.add(kind, told)
        (self._cohort.places.outcomes / running.token).unlink(missing_ok=True)
        return record

    def _told(self, running: _Running) -> Json:
        """What the worker told, or what can be told of it where Dask has lost it."""
        future = running.future
        if future.status == "finished":
            told: Json = future.result()
            return told
        self._check_scheduler()
        if future.status == "error" and type(future.exception()).__name__ != "KilledWorker":
            return {"event": STOPPED, "sentence": _of_strangers(future.exception())}
        outcome = read_left(self._cohort.places.outcomes / running.token)
        mark = self._cohort.places.running / running.token
        if outcome is None and not mark.exists():
            return {"event": _LOST}
        mark.unlink(missing_ok=True)
        return outcome or {"event": DIED, "reason": "its worker died"}

    def _lose(self, waiting: Waiting) -> Json | None:
        """It had not begun: it goes first, and is not blamed unless that happens again and again."""
        self._losses[waiting.scan.id] += 1
        if self._losses[waiting.scan.id] > _LOSSES:
            return self._died(waiting, "workers ended before they began with it")
        self._waiting.appendleft(waiting)
        return None

    def _died(self, waiting: Waiting, reason: str) -> Json | None:
        """Once more, after all others; or set aside, which gives its record."""
        scan = waiting.scan
        self._manifest.add("died", {"id": scan.id, "reason": reason})
        if len(self._manifest.known.deaths[scan.id]) < _DEATHS:
            self._waiting.append(waiting)
            return None
        sentence = (
            f"{_DEATHS} workers died at it ({reason.rstrip('.')}): give each worker more memory, or crop or resample "
            "the scan, then use 'tuckerseg cohort retry'."
        )
        told = {"id": scan.id, "columns": dict(scan.columns), "sentence": sentence, "input": {"stamp": scan.stamp()}}
        return self._manifest.add(SET_ASIDE, told)

    def _refuse_worker(self, running: _Running, told: Json) -> None:
        self._unfit.add(told["worker"])
        self._waiting.appendleft(running.waiting)
        sentence = f"The worker at {told['worker']} has {told['sentence']}"
        if not self._fit():
            raise WorkerError(f"{sentence}, and there is no other: install the same versions there.")
        self._listener.says(f"{sentence}: it is left out.")

    def _check_scheduler(self) -> None:
        if not self._workers.alive:
            raise WorkerError(
                f"The scheduler at {self._workers.address} is gone: start it again and give the same command; "
                "what is done stays done."
            )


def _passed_on(cohort: Cohort, workers: Cluster) -> dict[str, str]:
    """The variables that workers get; those that open an archive only where it is asked, and nobody can listen."""
    secret = () if isinstance(cohort.inputs, Query) and workers.encrypted else CREDENTIALS
    return {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES) and name not in secret}


def _of_strangers(error: BaseException) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"A worker cannot run TuckerSeg ({reason}): install this very version of it there."

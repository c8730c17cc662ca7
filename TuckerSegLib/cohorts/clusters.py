"""Where a cohort's workers are: on this computer, on a Dask cluster that is there, or in jobs of a queueing system.

Dask starts the workers, replaces those that die, and tells which of them are free; `dask_jobqueue` writes the jobs.
Messages are encrypted and workers known by a certificate of this run, as whoever reaches a Dask scheduler could have
it run anything. One task a worker at a time, for which the network's process takes all of the worker's cores.
"""

# mypy: allow-untyped-calls

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.config
import distributed
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from ..errors import InputError, WorkerError
from .packages import check_packages

QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster"}

_SUBMIT = {"slurm": "sbatch", "pbs": "qsub", "sge": "qsub"}

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # who died at what is told from the marks on the disk
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.memory.terminate": False,  # the network's process is another one, which Dask does not see
    "distributed.worker.memory.pause": False,
    "distributed.admin.log-format": "%(message)s",
    "logging": {"distributed": "critical"},
}

_SECONDS_TO_CONNECT = 15

_JOBS = 4
"""Workers that are asked of a queueing system unless the user says how many."""


@dataclass(frozen=True)
class Where:
    """Which workers segment.

    Attributes:
        workers: how many; None for as many as cores and memory of this computer allow, or a few jobs.
        scheduler: the address of a Dask cluster that is there already, whose workers are taken as they are.
        queue: "slurm", "pbs" or "sge", or empty.
        partition, time, memory, cores: of each job: the queue's name, HH:MM:SS, such as 16GB, and processors.
        account: whom the queue charges; empty where it does not ask.
    """

    workers: int | None = None
    scheduler: str = ""
    queue: str = ""
    partition: str = ""
    time: str = "24:00:00"
    memory: str = "16GB"
    cores: int = 4
    account: str = ""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"{self.workers} workers segment nothing: ask for 1 or more.")
        if self.scheduler and self.queue:
            raise InputError(f"A cluster that is there needs no jobs: leave out --scheduler or --{self.queue}.")

    @property
    def local(self) -> bool:
        return not self.scheduler and not self.queue


def own_cores() -> int:
    """Those that this process may use, in a container too."""
    return int(CPU_COUNT)


def own_memory() -> int:
    """Bytes that this process may use, in a container too."""
    return int(MEMORY_LIMIT)


class Cluster:
    """Workers that can be asked through `client`; `threads` are a worker's cores, 0 where the cluster decides."""

    def __init__(self, client: Any, cluster: Any, threads: int) -> None:
        self.client, self._cluster, self.threads = client, cluster, threads

    @property
    def alive(self) -> bool:
        """Whether the scheduler can be reached."""
        return bool(self.client.status == "running")

    @property
    def address(self) -> str:
        return str(self.client.scheduler.address)

    @property
    def encrypted(self) -> bool:
        """Whether only the workers can read what they are told."""
        return self.address.startswith("tls://")

    @property
    def dashboard(self) -> str:
        """The page on which Dask shows what its workers do; empty where it has none."""
        try:
            return str(self.client.dashboard_link or "")
        except KeyError:
            return ""

    def workers(self) -> list[str]:
        """The addresses of those that are there now."""
        return list(self.client.scheduler_info(n_workers=-1).get("workers", ()))

    def scale(self, workers: int) -> None:
        """Have so many workers, as far as they are ours to start."""
        if self._cluster is not None:
            self._cluster.scale(workers)


@contextmanager
def cluster(where: Where, logs: Path) -> Iterator[Cluster]:
    """The workers, for as long as the block runs; the queueing system's jobs write to the folder `logs`.

    Raises:
        InputError: a package is missing.
        WorkerError: the scheduler cannot be reached, or jobs cannot be handed in.
    """
    for noisy in ("distributed", "asyncio"):  # how a worker died is told from what it left
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    with dask.config.set(_SETTINGS):
        if where.scheduler:
            with _connected(where.scheduler) as client:
                yield Cluster(client, None, 0)
            return
        started = _jobs(where, logs) if where.queue else _local()
        with started as own, distributed.Client(own) as client:
            yield Cluster(client, own, where.cores if where.queue else _own_threads(where))


def _own_threads(where: Where) -> int:
    """A worker's share of the cores; one for each where nobody said how many workers there are to be."""
    return max(1, own_cores() // (where.workers or own_cores()))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"No Dask scheduler answers at {address}: start one with 'dask scheduler', or leave --scheduler out."
        ) from error
    with client:
        yield client


def _local() -> Any:
    """One worker of this computer, to begin with."""
    try:
        return distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0" if _has_dashboard() else None,
            security=_has_certificates() or None,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:  # the worker's process began the script anew, and did not get further
        raise WorkerError(
            f"No worker could be started ({_in_a_line(error)}): in a script, cohorts belong below "
            "if __name__ == '__main__'."
        ) from error


def _jobs(where: Where, logs: Path) -> Any:
    check_packages(("dask_jobqueue",))
    import dask_jobqueue

    if shutil.which(_SUBMIT[where.queue]) is None:
        raise WorkerError(f"No jobs can be handed in to {where.queue}: there is no {_SUBMIT[where.queue]} here.")
    jobs = where.workers or _JOBS
    try:
        started = getattr(dask_jobqueue, QUEUES[where.queue])(n_workers=1, **job_options(where, logs))
        started.adapt(minimum=jobs, maximum=jobs)  # a job whose time is over is followed by another
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkerError(f"No jobs can be handed in to {where.queue} ({_in_a_line(error)}).") from error
    return started


def job_options(where: Where, logs: Path) -> dict[str, Any]:
    """What `dask_jobqueue` is told of each job: one worker, one task at a time, all of the job's cores."""
    extra = ["--nthreads", "1", "--memory-limit", "0"]
    own: dict[str, dict[str, Any]] = {
        "slurm": {"job_cpu": where.cores},
        "pbs": {"resource_spec": _of_pbs(where)},
        "sge": {},
    }
    return {
        "cores": where.cores,
        "processes": 1,
        "memory": where.memory,
        "walltime": where.time,
        "queue": where.partition or None,
        **({"project" if where.queue == "sge" else "account": where.account} if where.account else {}),
        "job_name": "tuckerseg",
        "log_directory": str(logs),
        "worker_extra_args": extra,
        "security": _security(),
        "shared_temp_directory": str(logs.parent),
        "scheduler_options": {"dashboard_address": ":0" if _has_dashboard() else None},
        **own[where.queue],
    }


def _of_pbs(where: Where) -> str:
    return f"select=1:ncpus={where.cores}:mem={where.memory}"


def _security() -> Any:
    return distributed.Security.temporary() if _has_certificates() else None


def _has_certificates() -> bool:
    return _installed("cryptography")


def _has_dashboard() -> bool:
    return _installed("bokeh")


def _installed(name: str) -> bool:
    try:
        check_packages((name,))
    except InputError:
        return False
    return True


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""A cohort's run as a user has it, whose processes can be killed, and its Dask cluster where that is another one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from TuckerSegLib.cohorts.manifest import SET_ASIDE, read_manifest

CLIENT, WORKER, NETWORK, SCHEDULER, ALL = "client", "worker", "network", "scheduler", "all"
"""What can be killed: `tuckerseg cohort run`, a Dask worker, the process with the network that it started, the
scheduler where that is a process of its own, or everything at once."""

TUCKERSEG = [sys.executable, "-c", "from TuckerSegLib.cli.main import main; main()"]

OPTIONS = ["--factor", "0.5", "--exact-ranks", "--engine", "torch"]
"""Nothing is measured or fitted first, so that a start takes little more than the imports."""

_SECONDS_BETWEEN_LOOKS = 0.05


class Run:
    """`tuckerseg cohort run` with two workers, again and again until it ends by itself with every scan segmented."""

    def __init__(self, scans: Path, results: Path, model: str, cluster: "DaskCluster | None" = None) -> None:
        self.results, self.starts, self.said = results, 0, ""
        self._cluster = cluster
        more = ["--scheduler", cluster.address] if cluster else ["--workers", "2"]
        self._run = [*TUCKERSEG, "cohort", "run", str(scans), str(results), *OPTIONS, "--model", model, *more]
        self._retry = [*TUCKERSEG, "cohort", "retry", str(results), *more]
        self._log = results.parent / "said.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def done(self) -> bool:
        """Whether it ended well; it is started where it does not run."""
        if self._cluster:
            self._cluster.keep()
        if self._process is not None and self._process.poll() is None:
            return False
        self.said = self._log.read_text(errors="replace") if self._log.exists() else ""
        if self._process is not None and self._process.returncode == 0:
            return True
        aside = read_manifest(self.results / "manifest.jsonl").of_state(SET_ASIDE)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._retry if aside else self._run, stdout=log, stderr=log)
        self.starts += 1
        return False

    def count(self) -> int:
        """The results that are there; what is unfinished comes and goes meanwhile."""
        found = 0
        for _, folders, files in os.walk(self.results):
            folders[:] = [name for name in folders if name != ".cohort"]
            found += sum(name.endswith(".seg.nrrd") for name in files)
        return found

    def kill(self, kind: str) -> bool:
        """Kill one process of that kind, or all; says whether there was one."""
        assert self._process
        found: dict[str, list[psutil.Process]] = {CLIENT: [], WORKER: [], NETWORK: [], SCHEDULER: []}
        roots = [self._process.pid, *(self._cluster.pids if self._cluster else [])]
        for root in roots:
            try:
                process = psutil.Process(root)
                for one in (process, *process.children(recursive=True)):
                    found[_kind(one, CLIENT if root == self._process.pid else SCHEDULER)].append(one)
            except psutil.Error:
                continue
        victims = [one for some in found.values() for one in some] if kind == ALL else found[kind][:1]
        for victim in victims:
            _kill(victim)
        return bool(victims)

    def go_through(self, kills: Sequence[str], every: int, patience: float) -> None:
        """Run to the end, with a kill whenever `every` more results are there.

        Raises:
            AssertionError: that takes more than `patience` seconds, or the run was over before the last kill.
        """
        began, waiting, next_at = time.monotonic(), list(kills), 1
        while not self.done():
            assert time.monotonic() - began < patience, self.said
            if waiting and self.count() >= next_at and self.kill(waiting[0]):
                waiting.pop(0)
                next_at = self.count() + every
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        assert not waiting, f"the run was over before {waiting}"


def _kind(process: psutil.Process, otherwise: str) -> str:
    command = " ".join(process.cmdline())
    if "worker.server" in command:
        return NETWORK
    return WORKER if "spawn_main" in command or "dask worker" in command.replace(".cli.dask_", " ") else otherwise


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


class DaskCluster:
    """A scheduler and two workers, started anew where they were killed; leave it through `dask_cluster`."""

    def __init__(self) -> None:
        with socket.socket() as opened:
            opened.bind(("127.0.0.1", 0))
            port = opened.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        python = [sys.executable, "-m"]
        host = ["--host", "127.0.0.1"]
        worker = [*python, "distributed.cli.dask_worker", self.address, "--nthreads", "1", *host, "--no-dashboard"]
        self._commands = [
            [*python, "distributed.cli.dask_scheduler", "--port", str(port), *host, "--no-dashboard"],
            *[worker] * 2,
        ]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * len(self._commands)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process]

    def keep(self) -> None:
        """Start what does not run."""
        for index, command in enumerate(self._commands):
            process = self._processes[index]
            if process is None or process.poll() is not None:
                nowhere = subprocess.DEVNULL
                self._processes[index] = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)

    def end(self) -> None:
        for process in self._processes:
            if process:
                for one in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                    _kill(one)
                process.kill()
                process.wait()


@contextmanager
def dask_cluster() -> Iterator[DaskCluster]:
    """It ends with the block."""
    cluster = DaskCluster()
    cluster.keep()
    try:
        yield cluster
    finally:
        cluster.end()

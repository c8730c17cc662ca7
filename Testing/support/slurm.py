"""A real Slurm on this computer alone, for as long as a test needs it: Debian's slurmctld, slurmd and munge."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Daemons are where users' shells do not look."""

_SECONDS_TO_START = 40.0


def missing() -> str:
    """Why there can be no Slurm here, in a sentence; empty where there can."""
    absent = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    if absent:
        return f"needs {', '.join(absent)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "Slurm's daemons have to be started by root"


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """Slurm with one node of all cores and memory; gives its configuration, for the variable SLURM_CONF."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder))
    environment = {**os.environ, "SLURM_CONF": str(configuration), "PATH": _PATH}
    with ExitStack() as daemons:
        munge = [f"--{name}-file={folder}/munge/{name}" for name in ("pid", "log", "seed")]
        daemons.enter_context(
            _daemon(
                ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge/socket", *munge]
            )
        )
        _until(lambda: (folder / "munge" / "socket").exists(), "munged")
        daemons.enter_context(_daemon(["slurmctld", "-D", "-f", str(configuration)], environment))
        daemons.enter_context(_daemon(["slurmd", "-D", "-f", str(configuration)], environment))
        _until(lambda: "idle" in _said(["sinfo", "-h", "-o", "%T"], environment), "Slurm")
        yield configuration


def _configuration(folder: Path) -> str:
    host, memory = socket.gethostname(), psutil.virtual_memory().total // (1 << 20) - 512
    lines = [
        "ClusterName=loopback",
        f"SlurmctldHost={host}(127.0.0.1)",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge/socket",
        f"SlurmctldPort={_free_port()}",
        f"SlurmdPort={_free_port()}",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd.log",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "JobAcctGatherType=jobacct_gather/none",
        "MailProg=/bin/true",
        "ReturnToService=2",
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={memory} State=UNKNOWN",
        f"PartitionName=loopback Nodes={host} Default=YES MaxTime=INFINITE State=UP",
    ]
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextmanager
def _daemon(command: list[str], environment: dict[str, str] | None = None) -> Iterator[None]:
    program = shutil.which(command[0], path=_PATH) or command[0]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen([program, *command[1:]], env=environment, stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _said(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


def _until(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not start")
        time.sleep(0.2)

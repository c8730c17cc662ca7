"""Workers as jobs of a queueing system: a real Slurm on this computer, and what PBS and Grid Engine are handed."""

# mypy: allow-untyped-calls

import subprocess
from pathlib import Path

import dask_jobqueue
import psutil
import pytest
from support.cohorts import small_model, write_scans
from support.slurm import missing, slurm

from TuckerSegLib.cohorts.clusters import QUEUES, Where, job_options
from TuckerSegLib.cohorts.cohort import Cohort
from TuckerSegLib.cohorts.manifest import DONE
from TuckerSegLib.cohorts.running import run
from TuckerSegLib.errors import InputError, WorkerError
from TuckerSegLib.segmentation.request import Request

WANTED = {
    "slurm": ("#SBATCH -p long", "#SBATCH --cpus-per-task=6", "#SBATCH -t 12:00:00", "#SBATCH -A lab"),
    "pbs": ("#PBS -q long", "#PBS -l select=1:ncpus=6:mem=20GB", "#PBS -l walltime=12:00:00", "#PBS -A lab"),
    "sge": ("#$ -q long", "#$ -P lab", "#$ -l h_rt=12:00:00"),
}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_job_is_one_worker_with_what_was_asked_for(queue: str, tmp_path: Path) -> None:
    where = Where(queue=queue, partition="long", time="12:00:00", memory="20GB", cores=6, account="lab")
    with getattr(dask_jobqueue, QUEUES[queue])(**job_options(where, tmp_path)) as cluster:
        script = cluster.job_script()
    assert [line for line in WANTED[queue] if line not in script] == []
    assert script.rstrip().splitlines()[-1].count("--nthreads 1") and "dask_worker" in script


def test_options_that_contradict_each_other_are_one_sentence() -> None:
    with pytest.raises(InputError, match="leave out --scheduler or --slurm"):
        Where(queue="slurm", scheduler="tcp://node1:8786")
    with pytest.raises(InputError, match="segment nothing"):
        Where(workers=0)


def test_a_computer_without_slurm_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    write_scans(tmp_path / "scans", 1)
    cohort = Cohort(tmp_path / "scans", tmp_path / "results", Request("sample"))
    with pytest.raises(WorkerError, match="No jobs can be handed in to slurm"):
        list(run(cohort, Where(queue="slurm")))


def _request(folder: Path) -> Request:
    return Request(str(small_model(folder / "model")), 0.5, engine="torch", exact_ranks=True)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_cohort_on_a_real_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    write_scans(tmp_path / "scans", 30)
    cohort = Cohort(tmp_path / "scans", tmp_path / "results", _request(tmp_path))
    (tmp_path / "slurm").mkdir()
    where = Where(queue="slurm", workers=2, cores=1, memory="3GB", time="00:30:00")
    with slurm(tmp_path / "slurm") as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        found = []
        for record in run(cohort, where):
            found.append(record)
            if len(found) == 10:  # as an administrator, or the end of its time, ends a job
                worker = int(record["worker"].rpartition(":")[2])
                job = psutil.Process(worker).environ()["SLURM_JOB_ID"]
                subprocess.run(["scancel", "--signal=KILL", "--full", job], check=True)
    assert [record["event"] for record in found] == [DONE] * 30
    assert len({record["id"] for record in found}) == 30
    assert len({record["worker"] for record in found}) >= 2

"""Options that say where a cohort's workers are."""

from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError

if TYPE_CHECKING:
    from ...cohorts.clusters import Where


def where_of(
    workers: Annotated[
        int | None, typer.Option(help="How many; as many as fit into this computer, or 4 jobs, otherwise.")
    ] = None,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask cluster that is there, such as tcp://node1:8786.")
    ] = "",
    slurm: Annotated[bool, typer.Option("--slurm", help="Have Slurm run the workers.")] = False,
    pbs: Annotated[bool, typer.Option("--pbs", help="Have PBS run the workers.")] = False,
    sge: Annotated[bool, typer.Option("--sge", help="Have Grid Engine run the workers.")] = False,
    partition: Annotated[str, typer.Option(help="The partition or queue that jobs are handed in to.")] = "",
    time: Annotated[str, typer.Option(help="Of each job; one that is over is followed by another.")] = "24:00:00",
    memory: Annotated[str, typer.Option(help="Of each job.")] = "16GB",
    cores: Annotated[int, typer.Option(help="Of each job; the network takes all of them.")] = 4,
    account: Annotated[str, typer.Option(help="The account or project that jobs are charged to.")] = "",
) -> "Where":
    """Where a cohort's workers are, by the options of a command that segments one.

    Raises:
        InputError: options contradict each other.
    """
    from ...cohorts.clusters import Where

    queues = [name for name, wanted in (("slurm", slurm), ("pbs", pbs), ("sge", sge)) if wanted]
    if len(queues) > 1:
        raise InputError(f"One queueing system runs the workers: choose --{' or --'.join(queues)}.")
    return Where(workers, scheduler, "".join(queues), partition, time, memory, cores, account)

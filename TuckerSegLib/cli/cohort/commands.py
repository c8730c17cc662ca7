"""The commands of `tuckerseg cohort`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import Cancelled
from ...segmentation.request import Request
from ...volumes.output import SEGMENTATION_SUFFIX
from ..options import Json, bytes_of, request_of, takes
from .workers import where_of

if TYPE_CHECKING:
    from ...cohorts.clusters import Where
    from ...cohorts.cohort import Cohort

app = typer.Typer(
    help="Segment many scans, on many workers; nothing is lost and nothing done twice.", no_args_is_help=True
)

Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="The folder of a cohort's results.")]


@app.command()
@takes(request=request_of, where=where_of)
def run(
    inputs: Annotated[
        str,
        typer.Argument(
            metavar="INPUTS",
            help="A folder of scans, a .csv, .tsv or .parquet table of them, or a query of an archive (PACS), such as "
            "https://pacs.example.org/dicom-web?Modality=CT.",
        ),
    ],
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="The folder the results go to.")],
    request: Request,
    where: "Where",
    standard_names: Annotated[bool, typer.Option(help='Name segments "right kidney", not kidney_right.')] = False,
    suffix: Annotated[str, typer.Option(help="Of the results.")] = SEGMENTATION_SUFFIX,
    straighten: Annotated[
        bool, typer.Option("--straighten", help="Resample DICOM series that are tilted or unevenly spaced.")
    ] = False,
    column: Annotated[
        list[str] | None, typer.Option(help="The table's column of images (may be repeated, one a channel).")
    ] = None,
    id_column: Annotated[str, typer.Option(help="The table's column of ids, by which results are called.")] = "id",
    as_json: Json = False,
) -> None:
    """Segment every scan of a folder, a table or an archive. Whatever ended a run, the same command goes on with it."""
    _check_packages()
    from ...cohorts.cohort import Cohort
    from ...cohorts.scans.inputs import inputs_of
    from ...cohorts.work import Writing

    writing = Writing(suffix, standard_names, straighten)
    cohort = Cohort(inputs_of(inputs), results, request, writing, tuple(column or ("image",)), id_column)
    _run(cohort, where, as_json)


@app.command()
@takes(where=where_of)
def retry(
    results: Results,
    where: "Where",
    as_json: Json = False,
) -> None:
    """Try the scans again that failed or were set aside, with the options of the cohort's run."""
    _check_packages()
    from ...cohorts.cohort import cohort_in

    _run(cohort_in(results), where, as_json, again=True)


@app.command()
def status(results: Results, as_json: Json = False) -> None:
    """How far a cohort is; a run may be at work meanwhile."""
    _check_packages()
    from ...cohorts.cohort import cohort_in
    from ...cohorts.state import state_of
    from .. import console

    state = state_of(cohort_in(results))
    if as_json:
        console.write_json(state.as_json())
        return
    print(state)
    if state.problems:
        console.write_table("Not segmented", ("Scan", "Why"), state.problems)


@app.command()
def report(results: Results, as_json: Json = False) -> None:
    """Write report.html: volumes, the most unusual scans, failures, seconds and agreement, on one page."""
    _check_packages(("PIL",))
    from ...cohorts.cohort import cohort_in
    from ...cohorts.report.page import write_report
    from .. import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        path = write_report(cohort_in(results), progress)
    if as_json:
        console.write_json({"report": str(path)})
    else:
        print(path)


@app.command()
def plan(
    results: Results,
    scans: Annotated[int, typer.Option(help="How many there will be.")],
    nodes: Annotated[int, typer.Option(help="Computers.")] = 1,
    cores: Annotated[int, typer.Option(help="Of each.")] = 8,
    memory: Annotated[str, typer.Option(help="Of each, such as 64GB.")] = "16GB",
    disk: Annotated[str, typer.Option(help="What the disk that all share gives in a second.")] = "100MB",
    as_json: Json = False,
) -> None:
    """What more scans like those of a cohort would take elsewhere, and what would bound it, with the arithmetic."""
    _check_packages()
    from ...cohorts.cohort import cohort_in
    from ...cohorts.manifest import DONE, read_manifest
    from ...cohorts.planning import Computer
    from ...cohorts.planning import plan as planned
    from .. import console

    computer = Computer(cores, bytes_of(memory), bytes_of(disk))
    known = read_manifest(cohort_in(results).places.manifest)
    rows = planned(known.of_state(DONE), scans, nodes, computer).rows()
    if as_json:
        console.write_json({"rows": [{"what": what, "value": value, "because": why} for what, value, why in rows]})
    else:
        console.write_table(f"{scans:,} scans on {nodes} computers of {cores} cores", ("", "", "Because"), rows)


def _check_packages(more: tuple[str, ...] = ()) -> None:
    from ...cohorts.packages import check_packages

    check_packages()
    check_packages(more)


def _run(cohort: "Cohort", where: "Where", as_json: bool, again: bool = False) -> None:
    from ...cohorts.running import run
    from ...cohorts.state import state_of
    from .. import console
    from .bar import Bar

    with console.json_alone(as_json):
        with Bar() as bar:
            _consume(run(cohort, where, bar.listener, again), bar)
        state = state_of(cohort)
    if as_json:
        console.write_json(state.as_json())
    else:
        print(state)
    if state.problems:
        raise typer.Exit(2)


def _consume(records: Iterator[dict[str, Any]], bar: Any) -> None:
    try:
        for record in records:
            bar.take(record)
    except KeyboardInterrupt as error:
        raise Cancelled(f"Cancelled; scans segmented in this run: {bar.done:,}. The same command goes on.") from error

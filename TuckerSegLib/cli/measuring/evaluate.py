"""`tuckerseg evaluate`: what compression costs in accuracy, measured."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...engines.names import BY_NAME
from ...errors import InputError
from ..options import Json

if TYPE_CHECKING:
    from ...evaluation.accuracy.candidates import Candidate
    from ...evaluation.accuracy.cases import Case
    from ...evaluation.accuracy.outcomes import Study
    from ...models.nnunet import TrainedModel


def evaluate(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The folder for scores.csv, results.json and what is kept of every case."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="sample, a task of TotalSegmentator's, or a trained nnU-Net's folder.")
    ] = "sample",
    phantoms: Annotated[str, typer.Option(help="Seeds of phantoms, such as 3000-3005.")] = "",
    images: Annotated[Path | None, typer.Option(help="A folder of images, with --labels or without.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="A folder of label maps of the same names; the original network's own answers without it."),
    ] = None,
    factor: Annotated[list[float] | None, typer.Option("--factor", "-f", help="May be repeated; 0.5, 0.3.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "-p",
            help="position, what the slider runs, or untrained, before it was improved; relative or budget, with +data "
            "to fit on images; l1, 8-bit or cp to compare with; may be repeated. Otherwise position and relative, "
            "unless files are named by --trained.",
        ),
    ] = None,
    calibrate: Annotated[
        list[str] | None, typer.Option("--calibrate", help="What +data fits on: phantoms, files or folders.")
    ] = None,
    trained: Annotated[
        list[Path] | None,
        typer.Option(help="A .tuckerseg file made from the model, to compare as well; may be repeated."),
    ] = None,
    step: Annotated[float, typer.Option(help="How far patches lie apart, as a share of their size.")] = 0.5,
    engine: Annotated[str, typer.Option(help=f"auto, {BY_NAME}.")] = "torch",
    expected: Annotated[
        bool, typer.Option("--expected", help="Measure on other phantoms which agreement is to be expected, once.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="A page with plots and tables, in this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG or SVG of Dice against parameters and seconds, in this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Segment cases with smaller networks, and test how they differ from the original network, beside the truth.

    A run that was stopped goes on with the same command.
    """
    from ...evaluation.accuracy.study import study
    from ...evaluation.accuracy.tables import write
    from ...models.opening import open_model
    from .. import console

    with console.json_alone(as_json):
        _check_outputs(output, html, plot)
        cases = _cases(phantoms, images, labels, expected)
        opened = open_model(model)
        policies = policy or ([] if trained else ["position", "relative"])
        compared = _candidates(opened, policies, factor or [0.5, 0.3], calibrate or ["phantoms"], trained or [])
        kept = output / "cases"
        with console.progress_bar() as progress:
            done = study(
                opened, cases, compared, step=step, engine=engine, kept=kept, expected=expected, progress=progress
            )
        write(done, output)
        _write_pictures(done, html, plot)
    if as_json:
        console.write_json(done.as_json())
    else:
        _show(done, output)


def _check_outputs(folder: Path, html: Path | None, plot: Path | None) -> None:
    """Make the folder, and see that everything can be written before the work begins."""
    from ...evaluation.figures import check_plot
    from ...volumes.output import check_writable, make_folder

    make_folder(folder)
    if html:
        check_writable(html)
    if plot:
        check_plot(plot)


def _write_pictures(study: "Study", html: Path | None, plot: Path | None) -> None:
    from ...evaluation.accuracy.page import page
    from ...evaluation.accuracy.plot import draw
    from ...volumes.output import whole_file

    if html:
        with whole_file(html) as partial:
            partial.write_text(page(study), encoding="utf-8")
    if plot:
        draw(study, plot)


def _cases(seeds: str, images: Path | None, labels: Path | None, expected: bool) -> "list[Case]":
    from ...evaluation.accuracy import cases
    from ...volumes.phantoms.seeds import AGREEMENT

    if bool(seeds) == bool(images) or (labels and not images):
        raise InputError("Name what to evaluate on: either --phantoms, or --images, with --labels if there are some.")
    if images:
        return cases.cases_in(images, labels)
    span = re.fullmatch(r"(\d+)(?:-(\d+))?", seeds)
    if not span:
        raise InputError("Seeds are written like 3000-3005.")
    first, last = int(span[1]), int(span[2] or span[1])
    if last < first:
        raise InputError(f"Seeds {seeds} run backwards: write {last}-{first}.")
    if expected and first <= AGREEMENT[-1] and last >= AGREEMENT[0]:
        raise InputError(f"Agreement is expected from phantoms {AGREEMENT[0]} to {AGREEMENT[-1]}: evaluate on others.")
    return cases.phantoms(first, last)


def _candidates(
    model: "TrainedModel", names: list[str], factors: list[float], images: list[str], trained: list[Path]
) -> "list[Candidate]":
    from ...evaluation.accuracy.candidates import candidates, candidates_in

    return [*candidates(names, model, factors, images), *candidates_in(trained, model, names)]


def _show(study: "Study", output: Path) -> None:
    from ...evaluation.accuracy.statistics import smallest_p
    from ...evaluation.accuracy.tables import columns
    from .. import console

    shown = columns(study, {"Weights": lambda o: console.size(o.size)})
    rows = [[cell(outcome) for cell in shown.values()] for outcome in study.outcomes]
    console.write_table(f"{study.model}, {len(study.cases)} cases", list(shown), rows)
    print(f"With {len(study.cases)} cases no p is below {smallest_p(len(study.cases)):.2g} before Holm's correction.")
    if study.expected_error is not None:
        count = len(study.compared)
        print(f"Expected agreement is {study.expected_error:.3f} off on average, over {count} networks.")
    print(f"{output / 'scores.csv'}, {output / 'results.json'}")

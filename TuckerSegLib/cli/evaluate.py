"""`tuckerseg evaluate`: what compression costs in accuracy, measured."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, OutputError

if TYPE_CHECKING:
    from ..evaluation.accuracy.cases import Case
    from ..evaluation.accuracy.outcomes import Level, Study
    from ..models.nnunet import TrainedModel

FITTED = "+data"
"""Ends the name of a policy whose layers are fitted on images."""


def evaluate(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The folder for scores.csv, results.json and what goes on from there."),
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
            help="relative or budget, with +data to fit on images; to compare with, l1, 8-bit or cp; may be repeated. "
            "relative and budget+data, unless files are named by --trained.",
        ),
    ] = None,
    calibrate: Annotated[
        list[str] | None, typer.Option("--calibrate", help="What +data fits on: phantoms, files or folders.")
    ] = None,
    trained: Annotated[
        list[Path] | None,
        typer.Option(help="A .tuckerseg file made from the model, as a further level; may be repeated."),
    ] = None,
    step: Annotated[float, typer.Option(help="How far patches lie apart, as a share of their size.")] = 0.5,
    engine: Annotated[str, typer.Option(help="auto, fused, openvino or torch.")] = "torch",
    expected: Annotated[
        bool, typer.Option("--expected", help="Measure on other phantoms which agreement is to be expected; kept.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="A page with plots and tables, in this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG or SVG of Dice against parameters and seconds, in this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Segment cases at several levels, and test the differences to the original network against the truth.

    A run that was stopped goes on with the same command.
    """
    from ..evaluation.accuracy.plot import draw
    from ..evaluation.accuracy.study import study
    from ..evaluation.accuracy.tables import write
    from ..evaluation.figures import check_plot
    from ..models.opening import open_model
    from ..volumes.output import check_writable
    from . import console

    with console.json_alone(as_json):
        _make(output)
        if html:
            check_writable(html)
        if plot:
            check_plot(plot)
        cases = _cases(phantoms, images, labels, expected)
        opened = open_model(model)
        policies = policy or ([] if trained else ["relative", "budget+data"])
        levels = _levels(opened, policies, factor or [0.5, 0.3], calibrate or ["phantoms"])
        levels += _existing(opened, trained or [], policies)
        with console.errors.status("Compressing") as status:
            done = study(
                opened,
                cases,
                levels,
                step=step,
                engine=engine,
                kept=output / "cases",
                expected=expected,
                told=lambda what, n, total: status.update(f"{n} of {total}: {what}"),
            )
        write(done, output)
        if html:
            _write_page(done, html)
        if plot:
            draw(done, plot)
    if as_json:
        console.write_json(done.as_json())
    else:
        _show(done, output)


def _write_page(study: "Study", path: Path) -> None:
    from ..evaluation.accuracy.page import page
    from ..volumes.output import whole_file

    with whole_file(path) as partial:
        partial.write_text(page(study), encoding="utf-8")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error


def _cases(seeds: str, images: Path | None, labels: Path | None, expected: bool) -> "list[Case]":
    from ..evaluation.accuracy import cases
    from ..volumes.phantoms.seeds import AGREEMENT

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


def _levels(model: "TrainedModel", policies: list[str], factors: list[float], images: list[str]) -> "list[Level]":
    from ..decomposition.calibration.calibrated import Calibrated
    from ..evaluation.accuracy.baselines import Canonical, EightBit, Pruned
    from ..evaluation.accuracy.outcomes import Level
    from ..inference.patches import patches_of
    from ..segmentation.recipes import policy_of
    from ..volumes.sources import volumes_of

    if model.compression is not None:
        raise InputError(f"{model.name} is compressed already: evaluate the original model.")
    fitted = any(policy.endswith(FITTED) for policy in policies)
    patches = patches_of(model, volumes_of(images)) if fitted else None
    levels = []
    compared = {Pruned.name: Pruned, Canonical.name: Canonical}
    for name in policies:
        if name == EightBit.name:
            levels.append(Level(name, 1.0, EightBit()))
            continue
        for factor in factors:
            if name in compared:
                levels.append(Level(name, factor, compared[name](factor)))
                continue
            chosen = policy_of(name.removesuffix(FITTED), model, factor=factor)
            data = Calibrated(chosen, patches) if name.endswith(FITTED) and patches is not None else chosen
            levels.append(Level(name, factor, data))
    return levels


def _existing(model: "TrainedModel", files: list[Path], taken: list[str]) -> "list[Level]":
    from ..evaluation.accuracy.outcomes import existing

    names = [*taken, *(file.stem for file in files)]
    twice = [name for number, name in enumerate(names) if name in names[:number] and number >= len(taken)]
    if twice:
        raise InputError(f"There are two levels called {twice[0]}: rename the file.")
    return [existing(file, model) for file in files]


def _show(study: "Study", output: Path) -> None:
    from ..evaluation.accuracy.statistics import smallest_p
    from ..evaluation.accuracy.tables import columns
    from . import console

    shown = columns(study, {"Weights": lambda o: console.size(o.size)})
    rows = [[cell(outcome) for cell in shown.values()] for outcome in study.outcomes]
    console.write_table(f"{study.model}, {len(study.cases)} cases", list(shown), rows)
    print(f"With {len(study.cases)} cases no p is below {smallest_p(len(study.cases)):.2g} before Holm's correction.")
    if study.expected_error is not None:
        levels = len(study.compared)
        print(f"Expected agreement is {study.expected_error:.3f} off on average, over {levels} levels.")
    print(f"{output / 'scores.csv'}, {output / 'results.json'}")

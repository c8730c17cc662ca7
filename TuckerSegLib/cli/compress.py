"""`tuckerseg levels`, `prepare` and `compress`: what levels cost, how they are made, and files that hold one."""

from pathlib import Path
from typing import Annotated

import typer

from ..segmentation.request import Request
from .options import Fold, Json, Model, folds_of

Policy = Annotated[str, typer.Option("--policy", "-p", help="relative (as published), energy, vbmf or budget.")]

Share = Annotated[
    float | None, typer.Option("--share", help="energy: of the squared singular values; budget: of the measure.")
]

Minimum = Annotated[int | None, typer.Option("--minimum", help="relative, energy, vbmf: the lowest rank of a layer.")]

Calibrate = Annotated[
    list[str] | None,
    typer.Option("--calibrate", help="Fit on images: phantoms, a file or a folder (may be repeated); no labels."),
]

Measure = Annotated[
    str | None, typer.Option("--measure", help="budget: parameters, multiply-adds, or seconds on this computer.")
]


def levels(
    model: Model = Request.model,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure each level's agreement with the original, on phantoms; kept.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what each level of compression costs a model; seconds and agreement once it is prepared and measured."""
    from ..segmentation.session import Session
    from . import console

    with console.json_alone(as_json):
        found = Session().levels(model, measure)
    if as_json:
        listed = [level.as_json() for level in found.levels]
        console.write_json({"model": found.model, "patch": found.patch, "levels": listed})
        return
    rows = [
        (
            f"{x.factor:g}",
            _or_unknown(x.seconds, 3),
            _or_unknown(x.published_seconds, 3),
            _or_unknown(x.times_faster, 1),
            _or_unknown(x.agreement, 3),
            f"{x.parameters:,}",
            f"{x.parameters_removed:.1%}",
            f"{x.gflops:.2f}",
            f"{x.flops_removed:.1%}",
        )
        for x in found.levels
    ]
    columns = (
        "Factor",
        "Seconds",
        "Published",
        "Times faster",
        "Agreement",
        "Parameters",
        "Removed",
        "GFLOPs",
        "Removed",
    )
    seen = " x ".join(map(str, found.patch)) if found.patch else "each network"
    console.write_table(f"{found.model}, one patch of {seen}", columns, rows)


def _or_unknown(number: float | None, digits: int) -> str:
    return "unknown" if number is None else f"{number:.{digits}f}"


def prepare(
    model: Model = Request.model,
    take: Annotated[
        Path | None, typer.Option("--import", help="Take what another computer learnt, from the file it exported.")
    ] = None,
    give: Annotated[
        Path | None, typer.Option("--export", help="Write what was learnt to this file: statistics, no images.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", help="Files or folders to learn from, not phantoms (may be repeated); no labels."),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="Improve: train all positions further for so long; resumable.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Prepare a model: every position is then as fast as the published level, and loses the least that it can."""
    from ..segmentation.session import Session
    from . import console

    session = Session()
    with console.json_alone(as_json), console.progress_bar() as progress:
        if take:
            session.import_calibration(model, take)
        prepared = session.prepare(model, progress, images=images or (), minutes=minutes)
        if give:
            session.export_calibration(model, give)
    if as_json:
        console.write_json({"networks": [network.as_json() for network in prepared]})
        return
    columns = ("Factor", "Seconds a patch", "Published", "Times faster", "Layers whole")
    for network in prepared:
        console.write_table(f"{network.model} on this computer", columns, network.rows())


def compress(
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tuckerseg file to write.")],
    model: Model = Request.model,
    policy: Policy = "relative",
    factor: Annotated[
        float | None, typer.Option("--factor", "-f", help="relative, budget: share of channels kept, 0.3 by default.")
    ] = None,
    share: Share = None,
    minimum: Minimum = None,
    measure: Measure = None,
    calibrate: Calibrate = None,
    fold: Fold = None,
    as_json: Json = False,
) -> None:
    """Compress a model into one file that can be handed on."""
    from ..segmentation.compression import compress_to_file
    from . import console

    settings = {"factor": factor, "share": share, "minimum": minimum, "measure": measure}
    with console.json_alone(as_json), console.progress_bar() as progress:
        images, folds = calibrate or (), folds_of(fold)
        made = compress_to_file(model, output, policy, images=images, folds=folds, progress=progress, **settings)
    if as_json:
        console.write_json({"output": str(output), "cache": "hit" if made.cache_hit else "miss", **made.report})
    else:
        print(f"{made}, {console.size(output.stat().st_size)}")

"""`tuckerseg compress` and `tuckerseg levels`: what levels cost, and files that hold one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, OutputError
from .options import Fold, Json, Model, folds_of

if TYPE_CHECKING:
    from ..models.nnunet import TrainedModel
    from ..segmentation.levels import Level

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
    model: Model = "sample",
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure each level's agreement with the original, on phantoms; kept.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what each level of compression costs a model."""
    from . import console

    with console.json_alone(as_json):
        name, patch, found = _levels_of(model, measure)
    if as_json:
        console.write_json({"model": name, "patch": patch, "levels": [x.as_json() for x in found]})
        return
    rows = [
        (
            f"{x.factor:g}",
            f"{x.parameters:,}",
            f"{x.parameters_removed:.1%}",
            f"{x.gflops:.2f}",
            f"{x.flops_removed:.1%}",
            "unknown" if x.agreement is None else f"{x.agreement:.3f}",
        )
        for x in found
    ]
    columns = ("Factor", "Parameters", "Removed", "GFLOPs", "Removed", "Agreement")
    seen = " x ".join(map(str, patch)) if patch else "each network"
    console.write_table(f"{name}, one patch of {seen}", columns, rows)


def compress(
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tuckerseg file to write.")],
    model: Model = "sample",
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
    from ..models.cache import Cache
    from ..models.compressed import save
    from ..models.dataset import SUFFIX
    from ..segmentation.recipes import fitted_on, policy_of
    from ..volumes.output import check_writable, whole_file
    from . import console

    with console.json_alone(as_json):
        if output.suffix != SUFFIX:
            raise OutputError(f"{output} has another suffix than a compressed model: end it in {SUFFIX}.")
        check_writable(output)
        opened = _model(model, fold)
        chosen = policy_of(policy, opened, factor=factor, share=share, minimum=minimum, measure=measure)
        chosen = fitted_on(calibrate, opened, chosen) if calibrate else chosen
        with console.progress_bar() as progress:
            level, hit = Cache().level(opened, chosen, progress)
        with whole_file(output) as partial:
            save(level, partial)
        assert level.compression is not None
        report = level.compression.report
    if as_json:
        console.write_json({"output": str(output), "cache": "hit" if hit else "miss", **report})
        return
    kept, before = report["parameters"], report["parameters_before"]
    print(f"{output}: {kept:,} of {before:,} parameters, {console.size(output.stat().st_size)}")


def _model(which: str, folds: list[str] | None = None) -> "TrainedModel":
    from ..models.opening import open_model

    return open_model(which, folds_of(folds))


def _levels_of(which: str, measure: bool = False) -> "tuple[str, tuple[int, ...] | None, list[Level]]":
    """The model's name, its patch (None for a task's several networks), and what its levels cost."""
    from ..models.cache import Cache
    from ..models.totalsegmentator.tasks import task_names
    from ..segmentation.agreement import with_agreement
    from ..segmentation.levels import levels as levels_of
    from ..segmentation.levels import task_levels

    if which in task_names():
        if measure:
            raise InputError("Agreement is measured one network at a time: name a trained folder instead of a task.")
        return which, None, task_levels(which)
    opened = _model(which)
    return opened.name, opened.patch_size, with_agreement(levels_of(opened), opened, Cache(), measure)

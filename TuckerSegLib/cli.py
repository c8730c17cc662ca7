"""`tuckerseg`: the library from a shell.

Every command takes `--json` for one machine-readable object on standard output; what goes wrong is one line on
standard error, with exit code 2. Heavy imports wait until a command needs them.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_benchmark import app as benchmark_app
from .cli_evaluate import evaluate
from .cli_finetune import finetune
from .cli_models import app as models_app
from .cli_segment import segment
from .errors import Cancelled, InputError, OutputError, TuckerSegError

if TYPE_CHECKING:
    from .levels import Level
    from .models.nnunet import TrainedModel

app = typer.Typer(
    help="Segment CT and MR with Tucker-compressed nnU-Nets. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cache_app = typer.Typer(help="The compressed networks kept on this computer.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")
app.add_typer(benchmark_app, name="benchmark")
app.command()(segment)
app.command()(evaluate)
app.command()(finetune)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="sample, a task of TotalSegmentator's such as total-fast, a trained nnU-Net's folder, a .tuckerseg file.",
    ),
]
Fold = Annotated[list[str] | None, typer.Option("--fold", help="Use this fold only (may be repeated); all otherwise.")]
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


@app.command()
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


@app.command()
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
    from . import console
    from .cli_policy import fitted_on, policy_of
    from .models.compressed import SUFFIX, save
    from .output import check_writable, whole_file
    from .pipeline import level_of

    with console.json_alone(as_json):
        if output.suffix != SUFFIX:
            raise OutputError(f"{output} has another suffix than a compressed model: end it in {SUFFIX}.")
        check_writable(output)
        opened = _model(model, fold)
        chosen = policy_of(policy, opened, factor=factor, share=share, minimum=minimum, measure=measure)
        chosen = fitted_on(calibrate, opened, chosen) if calibrate else chosen
        with console.progress_bar() as progress:
            level, hit = level_of(opened, chosen, progress=progress)
        with whole_file(output) as partial:
            save(level, partial)
        assert level.compression is not None
        report = level.compression.report
    if as_json:
        console.write_json({"output": str(output), "cache": "hit" if hit else "miss", **report})
        return
    kept, before = report["parameters"], report["parameters_before"]
    print(f"{output}: {kept:,} of {before:,} parameters, {console.size(output.stat().st_size)}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the results go.")] = Path("demo-output"),
    as_json: Json = False,
) -> None:
    """Segment a phantom CT at four levels, compare with the truth, and draw the results."""
    from . import console
    from .demo import LEVELS, run

    with console.json_alone(as_json), console.progress_bar() as progress:
        outcome = run(folder, progress)
    if as_json:
        console.write_json(outcome.as_json())
        return
    rows = [
        (
            f"{x.factor:g}",
            f"{x.dice:.3f}",
            f"{x.agreement:.3f}",
            f"{x.fitting:.1f} s",
            f"{x.seconds:.1f} s",
            f"{x.parameters:,}",
        )
        for x in outcome.levels
    ]
    console.write_table(
        f"A phantom CT the network never saw, at {len(LEVELS)} levels",
        ("Factor", "Dice", "Agreement", "Made in", "Segmented in", "Parameters"),
        rows,
    )
    print("Dice with the truth, agreement with what the original network finds.")
    print(f"Picture: {outcome.picture}\nCT and segmentations, to open in 3D Slicer: {outcome.folder}")


@cache_app.command("list")
def cache_list(as_json: Json = False) -> None:
    """List the compressed networks, the last used first."""
    from . import console
    from .cache import Cache

    cache = Cache()
    entries = cache.entries()
    if as_json:
        listed = [{"model": e.model, "policy": dict(e.policy), "bytes": e.size, "path": str(e.path)} for e in entries]
        console.write_json({"folder": str(cache.folder), "limit": cache.limit, "entries": listed})
        return
    rows = [(e.model, _settings(e.policy), console.size(e.size)) for e in entries]
    title = f"{cache.folder}, at most {console.size(cache.limit)}"
    console.write_table(title, ("Model", "Policy", "Size"), rows)


@cache_app.command("clear")
def cache_clear(as_json: Json = False) -> None:
    """Remove all compressed networks and what engines made of them; they are made again when needed."""
    from . import console
    from .cache import Cache
    from .engines.store import Store

    freed = Cache().clear() + Store(Cache().folder).clear()
    if as_json:
        console.write_json({"freed": freed})
    else:
        print(f"{console.size(freed)} freed")


@cache_app.command("path")
def cache_path(as_json: Json = False) -> None:
    """Print the folder the compressed networks are in."""
    from . import console
    from .cache import Cache

    if as_json:
        console.write_json({"folder": str(Cache().folder)})
    else:
        print(Cache().folder)


@cache_app.command("limit")
def cache_limit(
    limit: Annotated[str, typer.Argument(metavar="SIZE", help="Such as 500MB or 2GB.")], as_json: Json = False
) -> None:
    """Set how large the cache may grow; what was used longest ago is removed first."""
    from . import console
    from .cache import Cache

    cache = Cache()
    cache.limit = _bytes(limit)
    if as_json:
        console.write_json({"limit": cache.limit})
    else:
        print(f"at most {console.size(cache.limit)}")


def main() -> None:
    """Run the command line: an error of this package's own is one line and exit code 2."""
    from .console import errors, say_error, show_warnings

    show_warnings()
    try:
        app()
    except (KeyboardInterrupt, Cancelled) as error:
        errors.print(str(error) or "Cancelled: nothing was written.")
        sys.exit(130)
    except TuckerSegError as error:
        say_error(str(error))
        sys.exit(2)


def _model(which: str, folds: list[str] | None = None) -> "TrainedModel":
    from .models import open_model

    return open_model(which, _folds(folds))


def _levels_of(which: str, measure: bool = False) -> "tuple[str, tuple[int, ...] | None, list[Level]]":
    """The model's name, its patch (None for a task's several networks), and what its levels cost."""
    from .agreement import with_agreement
    from .cache import Cache
    from .levels import levels as levels_of
    from .models.totalsegmentator import task_names
    from .tasks.costs import task_levels

    if which in task_names():
        if measure:
            raise InputError("Agreement is measured one network at a time: name a trained folder instead of a task.")
        return which, None, task_levels(which)
    opened = _model(which)
    return opened.name, opened.patch_size, with_agreement(levels_of(opened), opened, Cache(), measure)


def _folds(folds: list[str] | None) -> list[int | str] | None:
    return [int(fold) if fold.isdecimal() else fold for fold in folds] if folds else None


def _settings(policy: Any) -> str:
    return " ".join(f"{value}" if key == "policy" else f"{key} {value}" for key, value in policy.items())


def _bytes(text: str) -> int:
    match = re.fullmatch(r"\s*([\d.]+)\s*([kMGT]?)B?\s*", text)
    if not match or match[1].count(".") > 1:
        raise InputError(f"{text} is no size: write it like 500MB or 2GB.")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))

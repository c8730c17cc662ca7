"""`tuckerseg benchmark`: the measurements that the documents quote."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...engines.names import BY_NAME
from ..options import Json

if TYPE_CHECKING:
    from ...evaluation.speed.file_to_file import Measured
    from ...evaluation.speed.one_patch import Comparison, Timed

app = typer.Typer(help="Measure on this computer what the documents claim.", no_args_is_help=True)

Model = Annotated[str, typer.Option("--model", "-m", help="sample or the folder of a trained nnU-Net.")]

Engine = Annotated[str, typer.Option(help=f"auto, {BY_NAME}.")]


@app.command()
def compression(
    model: Model = "sample",
    as_json: Json = False,
) -> None:
    """Seconds that each level takes to make, and to load from the cache after that."""
    from ...evaluation.speed import levels_made
    from ...evaluation.speed.computer import computer
    from ...models.opening import open_model
    from .. import console

    with console.json_alone(as_json):
        opened = open_model(model)
        times = levels_made.compression(opened)
    if as_json:
        console.write_json(levels_made.as_json(times))
        return
    rows = [(f"{t.factor:g}", f"{t.parameters:,}", f"{t.make:.1f} s", f"{t.load:.2f} s") for t in times]
    console.write_table(opened.name, ("Factor", "Parameters", "Made in", "Loaded in"), rows)
    print(", ".join(f"{name} {value}" for name, value in computer().items()))


@app.command()
def pipeline(
    image: Annotated[Path, typer.Option("--image", "-i", help="NIfTI file to segment.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="sample, a task of TotalSegmentator's, or a trained nnU-Net's folder.")
    ] = "sample",
    factor: Annotated[
        list[float] | None, typer.Option("--factor", "-f", help="May be repeated; 1, 0.5, 0.3 and 0.1 otherwise.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each program.")] = 3,
    as_json: Json = False,
) -> None:
    """From file to file, beside TotalSegmentator or nnU-Net: seconds, memory and agreement."""
    from ...evaluation.speed import file_to_file
    from ...evaluation.speed.computer import computer
    from .. import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        found = file_to_file.pipeline(model, image, factor or file_to_file.FACTORS, repeats, progress)
    if as_json:
        console.write_json(file_to_file.as_json(model, image, found))
        return
    columns = ("", "Seconds", "Fastest to slowest", "Times faster", "Peak memory", "Of stock", "Equal voxels", "Dice")
    console.write_table(f"{model} on {image.name}, file to file", columns, [_compared(one, found[0]) for one in found])
    print(", ".join(f"{name} {value}" for name, value in (computer() | file_to_file.versions(found)).items()))


@app.command()
def checks(
    model: Model = "sample",
    factor: Annotated[
        list[float] | None, typer.Option("--factor", "-f", help="May be repeated; 0.7, 0.5 and 0.3 otherwise.")
    ] = None,
    phantoms: Annotated[int, typer.Option(min=1, help="How many.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the first phantom.")] = 1006,
    at_least: Annotated[float, typer.Option(help="The agreement that is promised.")] = 0.98,
    engine: Engine = "auto",
    as_json: Json = False,
) -> None:
    """How near the agreement that is told comes to the true one, and what a promise keeps and costs, on phantoms."""
    from ...evaluation import checks as each_level
    from .. import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        seeds = range(seed, seed + phantoms)
        found = each_level.checks(model, factor or [0.7, 0.5, 0.3], seeds, at_least, engine, progress)
    if as_json:
        console.write_json(each_level.as_json(model, at_least, found))
        return
    measured = ("Factor", "Dice", "Below the original's", "Agreement")
    told = ("As told", f"Within {each_level.NEAR:g}", "Times with check")
    promised = (f"With {at_least:g} promised", "Kept", "Times with promise", "Patches of the original")
    title = f"{model}, phantoms {seeds[0]} to {seeds[-1]}"
    console.write_table(title, (*measured, *told, *promised), each_level.rows(found, at_least))


@app.command()
def layers(
    model: Model = "sample",
    factor: Annotated[float, typer.Option("--factor", "-f", help="The level, below 1.")] = 0.3,
    as_json: Json = False,
) -> None:
    """Every layer alone: in plain PyTorch, in the fused engine as it is, and decomposed."""
    from ...errors import InputError
    from ...evaluation.speed import layers as each_layer
    from ...evaluation.speed.computer import computer
    from ...models.opening import open_model
    from .. import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        if not 0 < factor < 1:
            raise InputError(f"A factor of {factor:g} decomposes nothing: choose one below 1, such as 0.3.")
        opened = open_model(model)
        found = each_layer.layers(opened, factor, progress)
    if as_json:
        console.write_json(each_layer.as_json(model, factor, found))
        return
    columns = ("Layer", "Input", "Stock", "Dense", "Ranks", "Published", "Chosen", "Taken")
    rows = [
        (
            layer.name,
            "x".join(map(str, layer.shape)),
            f"{1e3 * layer.stock:.1f}",
            f"{1e3 * layer.dense:.1f}",
            "{} {}".format(*layer.published),
            f"{1e3 * layer.at_published:.1f}",
            "{} {}".format(*layer.chosen) if layer.chosen else "dense",
            f"{1e3 * layer.at_chosen:.1f}",
        )
        for layer in found
    ]
    console.write_table(f"{opened.name} at {factor:g}, milliseconds", columns, rows)
    print(", ".join(f"{name} {value}" for name, value in computer().items()))


@app.command()
def network(
    model: Model = "sample",
    factor: Annotated[
        list[float] | None, typer.Option("--factor", "-f", help="May be repeated; the published levels otherwise.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each level.")] = 5,
    engine: Engine = "auto",
    exact_ranks: Annotated[bool, typer.Option(help="The published ranks, not those that are fast here.")] = False,
    errors: Annotated[bool, typer.Option(help="Compare with double precision, which takes minutes.")] = True,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="NIfTI file: every level's agreement with the original on it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A PNG or SVG of seconds against parameters and agreement.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="ONNX Runtime or OpenVINO with the original network; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda, where the original runs in half precision.")] = "cpu",
    as_json: Json = False,
) -> None:
    """One patch through the network: each level beside the original as nnU-Net runs it."""
    from ...decomposition.published import LEVELS
    from ...evaluation.figures import check_plot
    from ...evaluation.speed import one_patch
    from ...evaluation.speed.computer import computer
    from ...evaluation.speed.runtimes.others import check_installed
    from .. import console

    if plot:
        check_plot(plot)
    check_installed(beside or ())
    options = one_patch.Options(
        repeats, "published" if exact_ranks else "tuned", engine, errors, image, device, beside or ()
    )
    with console.json_alone(as_json), console.progress_bar() as progress:
        found = one_patch.network(model, factor or LEVELS, options, progress)
    if plot:
        one_patch.draw(found, plot)
    if as_json:
        console.write_json(one_patch.as_json(model, found, device))
        return
    columns = ("Factor", "Engine", "Seconds", "Range", "Faster", "Error", "Parameters", "Bound", "Agreement")
    rows = _patch_rows(found)
    shown = len(columns) if image else -1
    console.write_table(f"{model}, one patch", columns[:shown], [row[:shown] for row in rows])
    print(f"{found.operations_a_second / 1e9:.0f} GFLOP/s and {found.bytes_a_second / 1e9:.0f} GB/s at most")
    print(", ".join(f"{name} {value}" for name, value in computer(device).items()))


def _patch_rows(found: "Comparison") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("stock", "torch", *_spread(found.stock), "1.0", _error(found.stock), "", "", "")]
    rows += [
        (other.program, "", *_spread(other), f"{found.speedup(other):.1f}", "", "", "", "") for other in found.others
    ]
    rows += [
        (
            f"{level.factor:g}",
            level.facts["engine"],
            *_spread(level),
            f"{found.speedup(level):.1f}",
            _error(level),
            f"{level.facts['parameters']:,}",
            f"{found.arithmetic(level):.2g}",
            "" if level.agreement is None else f"{level.agreement:.3f}",
        )
        for level in found.levels
    ]
    return rows


def _spread(timed: "Timed") -> tuple[str, str]:
    digits = 2 if timed.median >= 0.2 else 4
    return f"{timed.median:.{digits}f}", f"{min(timed.seconds):.{digits}f}-{max(timed.seconds):.{digits}f}"


def _error(timed: "Timed") -> str:
    return "" if timed.relative_error is None else f"{timed.relative_error:.1e}"


def _compared(one: "Measured", stock: "Measured") -> tuple[str, ...]:
    from .. import console

    name = one.program if one is stock else f"{one.program} {one.factor:g} ({one.engine})"
    return (
        name,
        f"{one.median:.1f}",
        f"{min(one.seconds):.1f} to {max(one.seconds):.1f}",
        f"{stock.median / one.median:.1f}",
        console.size(one.peak),
        f"{one.peak / stock.peak:.2f}",
        f"{one.equal:.2%}",
        f"{one.dice:.3f}",
    )

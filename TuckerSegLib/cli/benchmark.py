"""`tuckerseg benchmark`: the measurements that the documents quote."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json

if TYPE_CHECKING:
    from ..evaluation.speed.file_to_file import Measured
    from ..evaluation.speed.one_patch import Timed

app = typer.Typer(help="Measure on this computer what the documents claim.", no_args_is_help=True)


@app.command()
def compression(
    model: Annotated[str, typer.Option("--model", "-m", help="sample or the folder of a trained nnU-Net.")] = "sample",
    as_json: Json = False,
) -> None:
    """Seconds that each level takes to make, and to load from the cache after that."""
    from ..evaluation.speed import levels_made
    from ..evaluation.speed.computer import computer
    from ..models.opening import open_model
    from . import console

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
    from ..evaluation.speed import file_to_file
    from ..evaluation.speed.computer import computer
    from . import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        found = file_to_file.pipeline(model, image, factor or file_to_file.FACTORS, repeats, progress)
    if as_json:
        console.write_json(file_to_file.as_json(model, image, found))
        return
    columns = ("", "Seconds", "Fastest to slowest", "Times faster", "Peak memory", "Of stock", "Equal voxels", "Dice")
    console.write_table(f"{model} on {image.name}, file to file", columns, [_compared(one, found[0]) for one in found])
    print(", ".join(f"{name} {value}" for name, value in (computer() | file_to_file.versions(found)).items()))


@app.command()
def layers(
    model: Annotated[str, typer.Option("--model", "-m", help="sample or the folder of a trained nnU-Net.")] = "sample",
    factor: Annotated[float, typer.Option("--factor", "-f", help="The level, below 1.")] = 0.3,
    as_json: Json = False,
) -> None:
    """Every layer alone: in plain PyTorch, in the fused engine as it is, and decomposed."""
    from ..errors import InputError
    from ..evaluation.speed import layers as each_layer
    from ..evaluation.speed.computer import computer
    from ..models.opening import open_model
    from . import console

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
    model: Annotated[str, typer.Option("--model", "-m", help="sample or the folder of a trained nnU-Net.")] = "sample",
    factor: Annotated[
        list[float] | None, typer.Option("--factor", "-f", help="May be repeated; the published levels otherwise.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each level.")] = 5,
    engine: Annotated[str, typer.Option(help="auto, fused, openvino or torch.")] = "auto",
    exact_ranks: Annotated[bool, typer.Option(help="The published ranks, not those that are fast here.")] = False,
    errors: Annotated[bool, typer.Option(help="Compare with double precision, which takes minutes.")] = True,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="NIfTI file: every level's agreement with the original on it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A PNG or SVG of seconds against parameters and agreement.")] = None,
    as_json: Json = False,
) -> None:
    """One patch through the network: each level beside the original as nnU-Net runs it."""
    from ..decomposition.published import LEVELS
    from ..evaluation.figures import check_plot
    from ..evaluation.speed import one_patch
    from ..evaluation.speed.computer import computer
    from . import console

    if plot:
        check_plot(plot)
    options = one_patch.Options(repeats, exact_ranks, engine, errors, image)
    with console.json_alone(as_json), console.progress_bar() as progress:
        found = one_patch.network(model, factor or LEVELS, options, progress)
    if plot:
        one_patch.draw(found, plot)
    if as_json:
        console.write_json(one_patch.as_json(model, found))
        return
    columns = ("Factor", "Engine", "Seconds", "Range", "Faster", "Error", "Parameters", "Bound", "Agreement")
    rows = [("stock", "torch", *_spread(found.stock), "1.0", "", "", "", "")]
    rows += [
        (
            f"{level.factor:g}",
            level.facts["engine"],
            *_spread(level),
            f"{found.speedup(level):.1f}",
            "" if level.relative_error is None else f"{level.relative_error:.1e}",
            f"{level.facts['parameters']:,}",
            f"{found.arithmetic(level):.2f}",
            "" if level.agreement is None else f"{level.agreement:.3f}",
        )
        for level in found.levels
    ]
    shown = len(columns) if image else -1
    console.write_table(f"{model}, one patch", columns[:shown], [row[:shown] for row in rows])
    print(f"{found.operations_a_second / 1e9:.0f} GFLOP/s and {found.bytes_a_second / 1e9:.0f} GB/s at most")
    print(", ".join(f"{name} {value}" for name, value in computer().items()))


def _spread(timed: "Timed") -> tuple[str, str]:
    return f"{timed.median:.2f}", f"{min(timed.seconds):.2f}-{max(timed.seconds):.2f}"


def _compared(one: "Measured", stock: "Measured") -> tuple[str, ...]:
    from . import console

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

"""`tuckerseg bench`: the whole benchmark in one go."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json


def bench(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for bench.md, bench.json, bench.csv and bench.svg.")
    ] = Path("bench"),
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="sample, a task of TotalSegmentator's that is one network, or a folder."),
    ] = "sample",
    factor: Annotated[
        list[float] | None, typer.Option("--factor", "-f", help="May be repeated; 0.5, 0.3 and 0.1 otherwise.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="NIfTI file to segment from file to file; a phantom otherwise.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="When no further round is begun.")] = 10.0,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds of what is timed, at most.")] = 5,
    as_json: Json = False,
) -> None:
    """The network, a scan from file to file and the accuracy on phantoms, with the gates of 99 % and 99.9 %.

    nnU-Net, or TotalSegmentator for its tasks, runs beside TuckerSeg from file to file, and ONNX Runtime and OpenVINO
    run the original network where they are installed. Other work of the computer changes seconds: close it.
    """
    from ...evaluation.whole import benchmark, writing
    from ...evaluation.whole.curve import draw
    from ...evaluation.whole.gates import gates
    from ...evaluation.whole.surroundings import surroundings
    from ...volumes.output import make_folder
    from .. import console

    settings = benchmark.Settings(model, factor or benchmark.FACTORS, image, minutes, repeats)
    with console.json_alone(as_json), console.progress_bar() as progress:
        make_folder(output)
        around = surroundings()
        rows = benchmark.benchmark(settings, progress)
        writing.write(rows, around, output)
        draw(rows, output / "bench.svg")
    if as_json:
        console.write_json(writing.as_json(rows, around))
        return
    for part in dict.fromkeys(row.part for row in rows):
        heading, *lines = writing.table(rows, part)
        console.write_table(part.capitalize(), heading, lines)
    for gate in gates(rows):
        print(gate)
    print(", ".join(f"{name} {value}" for name, value in around.items()))
    print(f"Written: {', '.join(str(output / name) for name in (*writing.FILES, 'bench.svg'))}")

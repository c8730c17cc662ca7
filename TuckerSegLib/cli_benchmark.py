"""`tuckerseg benchmark`: the measurements that the documents quote."""

from typing import Annotated

import typer

app = typer.Typer(help="Measure on this computer what the documents claim.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps the sub-command's name in use while there is only one."""


@app.command()
def compression(
    model: Annotated[str, typer.Option("--model", "-m", help="sample or the folder of a trained nnU-Net.")] = "sample",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Seconds that each level takes to make, and to load from the cache after that."""
    from . import console
    from .benchmarks import compression as measured
    from .benchmarks.computer import computer
    from .models import open_model

    with console.json_alone(as_json):
        opened = open_model(model)
        times = measured.compression(opened)
    if as_json:
        console.write_json(measured.as_json(times))
        return
    rows = [(f"{t.factor:g}", f"{t.parameters:,}", f"{t.make:.1f} s", f"{t.load:.2f} s") for t in times]
    console.write_table(opened.name, ("Factor", "Parameters", "Made in", "Loaded in"), rows)
    print(", ".join(f"{name} {value}" for name, value in computer().items()))

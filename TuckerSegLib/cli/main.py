"""`tuckerseg`: the library from a shell.

Every command takes `--json` for one machine-readable object on standard output; what goes wrong is one line on
standard error, with exit code 2. Heavy imports wait until a command needs them.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Cancelled, TuckerSegError
from .benchmark import app as benchmark_app
from .cache import app as cache_app
from .compress import compress, levels, prepare
from .evaluate import evaluate
from .finetune import finetune
from .models import app as models_app
from .options import Json
from .segment import segment

app = typer.Typer(
    help="Segment CT and MR with Tucker-compressed nnU-Nets. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")
app.add_typer(benchmark_app, name="benchmark")
app.command()(segment)
app.command()(levels)
app.command()(prepare)
app.command()(compress)
app.command()(evaluate)
app.command()(finetune)


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


def main() -> None:
    """Run the command line: an error of this package's own is one line and exit code 2."""
    from .console import errors, say_error, show_warnings

    show_warnings()
    try:
        app()
    except (KeyboardInterrupt, Cancelled) as error:
        errors.print(str(error) or "Cancelled: nothing was written.", markup=False, highlight=False)
        sys.exit(130)
    except TuckerSegError as error:
        say_error(str(error))
        sys.exit(2)

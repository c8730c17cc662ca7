"""`tuckerseg`: the library from a shell.

Every command takes `--json` for one machine-readable object on standard output; what goes wrong is one line on
standard error, with exit code 2. Heavy imports wait until a command needs them.
"""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ..app.shell import app as browser_app
from ..errors import Cancelled, TuckerSegError
from ..version import VERSION
from ..waiting import wait_briefly
from .cache import app as cache_app
from .cohort.commands import app as cohort_app
from .compress import compress, levels, prepare
from .finetune import finetune
from .measuring.bench import bench
from .measuring.benchmark import app as benchmark_app
from .measuring.evaluate import evaluate
from .models import app as models_app
from .options import Json
from .pacs.commands import app as pacs_app
from .phantom import phantom
from .segment import segment

wait_briefly()

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(cohort_app, name="cohort")
app.add_typer(pacs_app, name="pacs")
app.command()(segment)
app.command()(phantom)
app.command()(levels)
app.command()(prepare)
app.command()(compress)
app.command()(evaluate)
app.command()(bench)
app.command()(finetune)
app.command("app")(browser_app)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(VERSION)
        raise typer.Exit


@app.callback()
def tuckerseg(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Segment CT and MR with Tucker-compressed nnU-Nets. Research software, not a medical device."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the results go.")] = Path("demo-output"),
    as_json: Json = False,
) -> None:
    """Segment a phantom CT by nnU-Net and at four levels, compare with the truth, and draw the results."""
    from . import console
    from .demo import LEVELS, run

    with console.json_alone(as_json), console.progress_bar() as progress:
        outcome = run(folder, progress)
    if as_json:
        console.write_json(outcome.as_json())
        return
    console.write_table(
        f"A phantom CT the network never saw, from file to file by nnU-Net and at {len(LEVELS)} levels",
        ("", "Seconds", "Times faster", "Dice", "Agreement", "As told", "Made in", "Parameters"),
        outcome.rows(),
    )
    print("Dice with the truth, agreement with what the original network finds, and as told with the result.")
    print(f"Picture: {outcome.picture}\nCT and segmentations, to open in 3D Slicer: {outcome.folder}")
    print("In a browser, with 3D Slicer's views: make app, or tuckerseg app")


def _end_in_order() -> None:
    """Have the system, or a terminal that is closed, end the program as Ctrl+C does: nothing half written stays."""

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def main() -> None:
    """Run the command line: an error of this package's own is one line and exit code 2."""
    from .console import errors, say_error, show_warnings

    _end_in_order()
    show_warnings()
    try:
        app()
    except (KeyboardInterrupt, Cancelled) as error:
        with suppress(OSError):  # a terminal that was closed
            errors.print(str(error) or "Cancelled: nothing was written.", markup=False, highlight=False)
        sys.exit(130)
    except TuckerSegError as error:
        say_error(str(error))
        sys.exit(2)
    except OSError as error:  # drives and networks vanish at any moment
        reason = f"{error.strerror or error}{f' at {error.filename}' if error.filename else ''}"
        say_error(f"The system could not do what was needed ({reason}): check that the drive is there, and run again.")
        sys.exit(2)

"""What the command line shows: tables and JSON on standard output; progress, warnings and errors on standard error."""

import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from ..progress import Event, Progress

errors = Console(stderr=True)

_FIRST_COLUMN = 24
"""Characters a table's first column gets at least, where it needs them; the others' headings wrap first."""

_FILE_WIDTH = 160
"""Characters in a line where the output is not a terminal that says its own."""

_STAGES = {
    "start": "Starting",
    "load": "Opening the model",
    "measure": "Measuring what is fast here, once",
    "calibrate": "Looking at what the network answers",
    "compress": "Compressing the network",
    "download": "Downloading",
    "nnunet": "Segmenting by nnU-Net",
    "images": "Preprocessing the images",
    "train": "Training",
    "preprocess": "Preparing the image",
    "predict": "Segmenting",
    "check": "Checking against the original network",
    "postprocess": "Resampling the labels",
    "resample": "Resampling",
    "report": "Drawing unusual scans",
}


def show_warnings() -> None:
    """Log messages of this package, as one line each on standard error."""
    print_any_text()
    handler = RichHandler(console=errors, show_time=False, show_path=False, show_level=False)
    logging.getLogger("TuckerSegLib").handlers = [handler]


def print_any_text() -> None:
    """Characters that the terminal does not know are shown by their number: a finished run does not fail at a name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say_error(sentence: str) -> None:
    """One line on standard error, however long."""
    errors.print(Text.assemble(("Error: ", "bold red"), sentence), soft_wrap=True, highlight=False)


def say_warning(sentence: str) -> None:
    """As `show_warnings` shows them, for a warning of another process."""
    say(sentence)


def say(sentence: str) -> None:
    """One line on standard error, above a progress bar where there is one."""
    errors.print(Text(sentence), soft_wrap=True, highlight=False)


@contextmanager
def json_alone(wanted: bool) -> Iterator[None]:
    """Where JSON was asked for, keep whatever libraries print out of standard output."""
    stdout = sys.stdout
    if wanted:
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout


def write_json(content: Mapping[str, object]) -> None:
    """The one object that a command with `--json` prints."""
    print(json.dumps(content, indent=2))


def write_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; every column but the first is aligned to the right. Square brackets are text, not markup."""
    table = Table(title=Text(title, "table.title"), title_justify="left", header_style="bold")
    longest = max((len(row[0]) for row in rows), default=0)
    for index, column in enumerate(columns):
        width = 0 if index else min(max(longest, len(column)), _FIRST_COLUMN)
        table.add_column(Text(column), justify="right" if index else "left", overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    (console if console.is_terminal else Console(width=_FILE_WIDTH)).print(table)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """The progress of a run that is drawn as a bar; nothing is left on the screen after it."""
    stage, left = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[left]}"))
    columns = (stage, BarColumn(), TaskProgressColumn(), left)
    with Bar(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("Starting", total=1.0, left="")

        def show(event: Event) -> None:
            left = "" if event.seconds_left is None else f"{event.seconds_left:.0f} s left"
            stage = _STAGES.get(event.stage, event.stage)
            if event.count:
                stage = f"{stage}: {event.number} of {event.count}"
            bar.update(task, completed=event.fraction, description=stage, left=left)

        yield Progress(show)


def policy(settings: Mapping[str, object]) -> str:
    """What a policy is and how it is set, in one line."""
    return " ".join(f"{value}" if key == "policy" else f"{key} {value}" for key, value in settings.items())


def size(count: float) -> str:
    """A number of bytes, as people read it."""
    for unit in ("bytes", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"

"""`tuckerseg app`: 3D Slicer's views, the slider and the button in a browser."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def app(
    image: Annotated[
        Path | None, typer.Argument(help="The image to show at first, a file or a DICOM folder; a phantom otherwise.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Where it listens; 0 takes one that is free.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Who can reach it: by default this computer alone; others need --token.")
    ] = "127.0.0.1",
    token: Annotated[str | None, typer.Option("--token", help="What a browser must bring to come in.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    users: Annotated[int, typer.Option("--users", min=1, help="How many may use it at a time.")] = 4,
    most: Annotated[float, typer.Option("--most", min=0.001, help="Gigabytes that may be sent at once.")] = 8.0,
) -> None:
    """Show images and segment them in a browser, on this computer, without 3D Slicer."""
    from .command import Options, run

    run(Options(image, host, port, token, not no_browser, users, int(most * 1e9)), say=partial(typer.echo, err=True))

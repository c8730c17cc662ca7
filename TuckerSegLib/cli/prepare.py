"""`tuckerseg prepare`: what makes every position of the slider fast and accurate at once, learnt once a model."""

from pathlib import Path
from typing import Annotated

import typer

from ..segmentation.request import Request
from .options import Json, Model


def prepare(
    model: Model = Request.model,
    take: Annotated[
        Path | None, typer.Option("--import", help="Take what another computer learnt, from the file it exported.")
    ] = None,
    give: Annotated[
        Path | None, typer.Option("--export", help="Write what was learnt to this file: statistics, no images.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prepare a model: every position is then as fast as the published level, and loses the least that it can."""
    from ..segmentation.session import Session
    from . import console

    session = Session()
    with console.json_alone(as_json), console.progress_bar() as progress:
        if take:
            session.import_calibration(model, take)
        prepared = session.prepare(model, progress)
        if give:
            session.export_calibration(model, give)
    if as_json:
        console.write_json({"networks": [network.as_json() for network in prepared]})
        return
    columns = ("Factor", "Seconds a patch", "Published", "Times faster", "Layers whole")
    for network in prepared:
        console.write_table(f"{network.model} on this computer", columns, network.rows())

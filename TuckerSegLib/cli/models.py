"""`tuckerseg models`: the models on this computer, and how to get more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json

if TYPE_CHECKING:
    from ..models.totalsegmentator.tasks import Task

app = typer.Typer(help="The models on this computer, and TotalSegmentator's tasks.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models on this computer and TotalSegmentator's tasks."""
    if context.invoked_subcommand:
        return
    from ..models.installed import installed
    from ..models.totalsegmentator.tasks import task, task_names
    from . import console

    with console.json_alone(as_json):
        found = installed()
        tasks = [task(name) for name in task_names()]
    if as_json:
        listed = [{"name": name, "path": str(path)} for name, path in found.items()]
        console.write_json({"models": listed, "tasks": [_as_json(known) for known in tasks]})
        return
    names = [(name,) for name in found if name not in task_names()]
    console.write_table("Models on this computer", ("Name or folder",), names)
    if tasks:
        columns = ("Name", "Modality", "Structures", "Licence", "Installed")
        console.write_table("TotalSegmentator's tasks", columns, [_row(known) for known in tasks])


@app.command("install")
def install(
    name: Annotated[str, typer.Argument(help="A task, such as total-fast.")],
    license_number: Annotated[str | None, typer.Option(help="For tasks that TotalSegmentator licenses.")] = None,
    as_json: Json = False,
) -> None:
    """Download the weights of one of TotalSegmentator's tasks."""
    from ..models.totalsegmentator import download
    from ..models.totalsegmentator.tasks import task
    from . import console

    with console.json_alone(as_json), console.progress_bar() as progress:
        new = download.install(task(name), license_number, progress)
    _say(new, as_json)


@app.command("import")
def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE.zip", help="An archive from TotalSegmentator's releases.")],
    as_json: Json = False,
) -> None:
    """Unpack weights that were downloaded on another computer."""
    from ..models.totalsegmentator.weights import import_archive
    from . import console

    with console.json_alone(as_json):
        new = import_archive(archive)
    _say(new, as_json)


def _say(new: list[str], as_json: bool) -> None:
    from ..models.totalsegmentator.weights import weights_folder
    from . import console

    if as_json:
        console.write_json({"folder": str(weights_folder()), "installed": new})
    else:
        print(f"{weights_folder()}: {', '.join(new) or 'everything was there already'}")


def _as_json(known: "Task") -> dict[str, object]:
    from ..models.totalsegmentator.weights import is_installed

    return {
        "name": known.name,
        "modality": known.modality,
        "structures": list(known.structures.values()),
        "spacing": known.spacing,
        "networks": [network.number for network in known.all_networks()],
        "licence_needed": known.licensed,
        "installed": is_installed(known),
    }


def _row(known: "Task") -> tuple[str, ...]:
    from ..models.totalsegmentator.weights import is_installed

    needed, here = ("needed" if known.licensed else ""), ("yes" if is_installed(known) else "")
    return known.name, known.modality, str(len(known.structures)), needed, here

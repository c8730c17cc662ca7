"""`tuckerseg pacs`: fetch a series from an archive (PACS), segment it there and back, store results.

Names and passwords are read from the environment (TUCKERSEG_PACS_USER and TUCKERSEG_PACS_PASSWORD, or
TUCKERSEG_PACS_TOKEN) or from the keyring, never from the command line, which others may see.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import OutputError
from ...segmentation.request import Request
from ...volumes.dicom.results.besides import Besides
from ..options import Json, request_of, takes
from ..segment import Scan, checked, segment_file
from ..summaries import show

if TYPE_CHECKING:
    from ...volumes.dicom.archive import Archive

app = typer.Typer(
    help="Series from an archive (PACS) over DICOMweb, and results back to it. The user's name and password are read "
    "from TUCKERSEG_PACS_USER and TUCKERSEG_PACS_PASSWORD, a token from TUCKERSEG_PACS_TOKEN, or all from the keyring.",
    no_args_is_help=True,
)

Url = Annotated[str, typer.Argument(metavar="URL", help="Of its DICOMweb services, beginning with https://.")]

SeriesUid = Annotated[str, typer.Argument(metavar="SERIES", help="The Series Instance UID.")]

Certificates = Annotated[Path | None, typer.Option(help="A .pem file with the certificates of your hospital's own.")]


@app.command()
def pull(
    url: Url,
    series: SeriesUid,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for its files.")],
    certificates: Certificates = None,
    as_json: Json = False,
) -> None:
    """Fetch a series into a folder."""
    from .. import console

    with console.json_alone(as_json), _new_folder(folder) as temporary:
        count = len(_archive(url, certificates).pull(series, temporary))
    if as_json:
        console.write_json({"folder": str(folder), "files": count})
    else:
        print(f"{count} files in {folder}")


@app.command()
def push(
    url: Url,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="DICOM files, such as results.")],
    certificates: Certificates = None,
    as_json: Json = False,
) -> None:
    """Store DICOM files."""
    from .. import console

    _archive(url, certificates).push(files)
    if as_json:
        console.write_json({"stored": [str(file) for file in files]})
    else:
        print(f"{len(files)} files stored")


@app.command()
@takes(request=request_of)
def segment(
    url: Url,
    series: SeriesUid,
    request: Request,
    standard_names: Annotated[bool, typer.Option(help='Name segments "right kidney", not kidney_right.')] = False,
    rtstruct: Annotated[bool, typer.Option("--rtstruct", help="Store a radiotherapy structure set, too.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Store a structured report, too.")] = False,
    keep: Annotated[Path | None, typer.Option(help="A new folder in which to keep the results; else nowhere.")] = None,
    certificates: Certificates = None,
    as_json: Json = False,
) -> None:
    """Segment a series and store the results as new series of its study; nothing stays on this computer."""
    from .. import console

    archive = _archive(url, certificates)
    with console.json_alone(as_json), _results(keep) as folder:
        with tempfile.TemporaryDirectory() as image:
            archive.pull(series, Path(image))
            besides = Besides(
                structure_set=folder / "structures.dcm" if rtstruct else None,
                report=folder / "report.dcm" if report else None,
            )
            scan = checked(Scan([Path(image)], folder / "segmentation.dcm", besides))
            summary = segment_file(scan, request, standard_names)
        archive.push([scan.output, *besides.paths])
    summary["output"] = f"{url}, in the study of {series}" if keep is None else str(keep)
    if as_json:
        console.write_json(summary)
    else:
        show(summary)


def _archive(url: str, certificates: Path | None) -> "Archive":
    from ...volumes.dicom.archive import Archive

    return Archive(url, certificates)


@contextmanager
def _results(keep: Path | None) -> Iterator[Path]:
    """The folder that results are written to: the user's, with whatever was finished, or one that goes away."""
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    _make(keep)
    try:
        yield keep
    finally:
        with suppress(OSError):  # where something was finished, it stays
            keep.rmdir()


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` when the block ends well and goes away otherwise."""
    _make(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
            Path(temporary).replace(folder)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _make(folder: Path) -> None:
    """
    Raises:
        OutputError: there is something in the folder, or it cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"There are files in {folder} already: name a new folder.")
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another one.") from error

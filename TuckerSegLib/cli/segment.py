"""`tuckerseg segment`: scans into segmentations, by the worker, which keeps the network warm from one to the next."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Cancelled, InputError, NotEnoughMemory, OutputError, WorkerError
from ..segmentation.request import Request
from ..volumes.dicom.results.besides import Besides
from ..volumes.output import (
    DICOM_SUFFIX,
    LABEL_MAP_SUFFIXES,
    SEGMENTATION_SUFFIX,
    SUFFIXES,
    check_images_stay,
    make_folder,
)
from .options import Json, request_of, takes
from .summaries import Summary, show, summary_of

if TYPE_CHECKING:
    from ..progress import Progress
    from ..segmentation.result import Segmentation
    from ..volumes.volume import Volume

Segmenter = Callable[["Volume", Request, "Progress"], "Segmentation"]

_OF_ONE_SCAN = (InputError, NotEnoughMemory, WorkerError)
"""What can be wrong with one scan of many; everything else would be wrong with all of them."""


@dataclass(frozen=True)
class Scan:
    """One file or DICOM folder a channel, and where the result goes."""

    channels: Sequence[Path]
    output: Path
    besides: Besides = field(default_factory=Besides)
    straighten: bool = False


@takes(request=request_of)
def segment(
    images: Annotated[list[Path], typer.Argument(metavar="INPUT", help="NIfTI, NRRD, MetaImage, DICOM folders.")],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="A .seg.nrrd segmentation, a .nii.gz, .nrrd or .mha label map, a .dcm DICOM segmentation, "
            "or a folder for many.",
        ),
    ],
    request: Request,
    channel: Annotated[list[Path] | None, typer.Option(help="A further input channel (may be repeated).")] = None,
    standard_names: Annotated[bool, typer.Option(help='Name segments "right kidney", not kidney_right.')] = False,
    suffix: Annotated[str, typer.Option(help="Of the files in an output folder.")] = SEGMENTATION_SUFFIX,
    statistics: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .json file for volume and intensities of each structure; with a folder, its ending."
        ),
    ] = None,
    rtstruct: Annotated[
        Path | None,
        typer.Option(help="A .dcm file for the outlines as a radiotherapy structure set; with a folder, its ending."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A .dcm file for a structured report on a .dcm OUTPUT; with a folder, its ending."),
    ] = None,
    straighten: Annotated[
        bool, typer.Option("--straighten", help="Resample DICOM series that are tilted or unevenly spaced.")
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run without the worker and its memory settings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Segment a volume, or several into a folder."""
    from . import console

    besides = Besides(statistics, rtstruct, report)
    with console.json_alone(as_json):
        if len(images) == 1 and not output.is_dir():
            scan = checked(Scan([images[0], *(channel or [])], output, besides, straighten))
            summary = segment_file(scan, request, standard_names, in_process)
        else:
            scans = [
                checked(replace(scan, straighten=straighten, besides=_beside(scan.output, suffix, besides)))
                for scan in _into_folder(images, output, suffix, channel or [])
            ]
            summary = _segment_folder(scans, request, standard_names, in_process)
    if as_json:
        console.write_json(summary)
    else:
        show(summary)
    if summary.get("failed"):
        raise typer.Exit(2)


def checked(scan: Scan) -> Scan:
    """The scan, if what it gives can be written.

    Raises:
        InputError, OutputError: it cannot.
    """
    from ..volumes.files import check_output

    check_output(scan.output, scan.channels, scan.straighten)
    scan.besides.check(scan.output, scan.channels, scan.straighten)
    return scan


def _beside(output: Path, suffix: str, besides: Besides) -> Besides:
    return besides.named_after(output.with_name(output.name.removesuffix(suffix)))


def _into_folder(images: Sequence[Path], folder: Path, suffix: str, channels: Sequence[Path]) -> list[Scan]:
    if channels:
        raise InputError("Further channels belong to one image: give that image alone, and a file as the output.")
    suffixes = (*SUFFIXES, DICOM_SUFFIX)
    if suffix not in suffixes:
        raise OutputError(f"{suffix} is no suffix of results: choose one of {', '.join(suffixes)}.")
    outputs = [folder / (_stem(image) + suffix) for image in images]
    for index, output in enumerate(outputs):
        if output in outputs[:index]:
            first = images[outputs.index(output)]
            raise InputError(f"{first} and {images[index]} would both become {output}: rename one of them.")
    make_folder(folder)
    for output in outputs:
        check_images_stay(output, images)
    return [Scan([image], output) for image, output in zip(images, outputs, strict=True)]


def _stem(image: Path) -> str:
    suffix = next((s for s in (*LABEL_MAP_SUFFIXES, ".nhdr", ".mhd") if image.name.lower().endswith(s)), "")
    return image.name[: -len(suffix)] if suffix else image.resolve().name


def segment_file(scan: Scan, request: Request, standard_names: bool, in_process: bool = False) -> Summary:
    """Segment a scan, write what is wanted of it, and say how it went.

    Raises:
        TuckerSegError: as `Session.segment`, or a result cannot be written.
    """
    from . import console

    try:
        with _segmenter(in_process) as segmenter, console.progress_bar() as progress:
            return _segment(segmenter, scan, request, standard_names, progress)
    except KeyboardInterrupt as error:
        raise Cancelled("Cancelled: nothing was written.") from error


def _segment_folder(scans: Sequence[Scan], request: Request, standard_names: bool, in_process: bool) -> Summary:
    """A scan that cannot be segmented is reported, and does not keep the others from it."""
    from . import console

    done: list[Summary] = []
    failed: list[Summary] = []
    try:
        with _segmenter(in_process) as segmenter, console.progress_bar() as progress:
            for number, scan in enumerate(scans):
                part = progress.part(number, len(scans))
                try:
                    done.append(_segment(segmenter, scan, request, standard_names, part))
                except _OF_ONE_SCAN as error:
                    failed.append({"input": str(scan.channels[0]), "error": str(error)})
                    console.say_error(f"{scan.channels[0]}: {error}")
    except KeyboardInterrupt as error:
        raise Cancelled(f"Cancelled: {len(done)} of {len(scans)} scans were segmented.") from error
    return {"segmentations": done, "failed": failed}


def _segment(segmenter: Segmenter, scan: Scan, request: Request, standard_names: bool, progress: "Progress") -> Summary:
    from ..volumes.files import read_volume

    image = read_volume(scan.channels, scan.straighten)
    finished = segmenter(image, request, progress)
    finished.save(scan.output, standard_names, scan.channels[0])
    besides, algorithm = scan.besides, finished.algorithm
    besides.write(image, finished.label_map, scan.output, scan.channels, algorithm, standard_names)
    return summary_of(finished, scan.output)


@contextmanager
def _segmenter(in_process: bool) -> Iterator[Segmenter]:
    """Segments in a worker that ends with the block, or in this process just as the worker does it there."""
    if in_process:
        from ..segmentation.session import Session

        yield Session().segment
        return
    from ..worker.client import Client
    from .console import say_warning

    client = Client()

    def segment(volume: "Volume", request: Request, progress: "Progress") -> "Segmentation":
        finished: Segmentation = client.segment(volume, request).wait(progress)
        for warning in finished.warnings:
            say_warning(warning)
        return finished

    try:
        client.call("ping")  # has it start while the first image is read
        yield segment
    finally:
        client.close()

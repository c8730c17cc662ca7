"""`tuckerseg segment`: scans into segmentations, by the worker, which keeps the network warm from one to the next."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Cancelled, InputError, NotEnoughMemory, OutputError, WorkerError
from ..segmentation.request import Request
from ..volumes.output import DICOM_SUFFIX, LABEL_MAP_SUFFIXES, SEGMENTATION_SUFFIX, SUFFIXES, check_images_stay
from .options import Fold, Json, Model, folds_of, of_request
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
    statistics: Path | None = None
    straighten: bool = False


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
    model: Model = Request.model,
    factor: Annotated[float, of_request("factor", "--factor", "-f")] = Request.factor,
    device: Annotated[str, of_request("device", "--device")] = Request.device,
    engine: Annotated[str, of_request("engine", "--engine")] = Request.engine,
    channel: Annotated[list[Path] | None, typer.Option(help="A further input channel (may be repeated).")] = None,
    fold: Fold = None,
    roi_subset: Annotated[str, of_request("structures", "--roi-subset")] = "",
    standard_names: Annotated[bool, typer.Option(help='Name segments "right kidney", not kidney_right.')] = False,
    suffix: Annotated[str, typer.Option(help="Of the files in an output folder.")] = SEGMENTATION_SUFFIX,
    exact_ranks: Annotated[bool, of_request("exact_ranks", "--exact-ranks")] = Request.exact_ranks,
    fit: Annotated[bool, of_request("fit_to_scan", "--fit")] = Request.fit_to_scan,
    statistics: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .json file for volume and intensities of each structure; with a folder, its ending."
        ),
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

    request = Request(
        model,
        factor,
        device,
        engine,
        structures=[name.strip() for name in roi_subset.split(",") if name.strip()],
        exact_ranks=exact_ranks,
        folds=folds_of(fold),
        fit_to_scan=fit,
    )
    with console.json_alone(as_json):
        if len(images) == 1 and not output.is_dir():
            scan = _into_file(Scan([images[0], *(channel or [])], output, statistics, straighten))
            summary = _segment_file(scan, request, standard_names, in_process)
        else:
            scans = [
                _into_file(replace(scan, straighten=straighten, statistics=_beside(scan.output, suffix, statistics)))
                for scan in _into_folder(images, output, suffix, channel or [])
            ]
            summary = _segment_folder(scans, request, standard_names, in_process)
    if as_json:
        console.write_json(summary)
    else:
        show(summary)
    if summary.get("failed"):
        raise typer.Exit(2)


def _into_file(scan: Scan) -> Scan:
    """The scan, if what it gives can be written."""
    from ..volumes.files import check_output
    from ..volumes.statistics import check_statistics

    check_output(scan.output, scan.channels, scan.straighten)
    if scan.statistics:
        check_statistics(scan.statistics)
    return scan


def _beside(output: Path, suffix: str, statistics: Path | None) -> Path | None:
    """Where the statistics of one of many scans go: `ct.statistics.csv` beside `ct.seg.nrrd`."""
    return output.with_name(f"{output.name.removesuffix(suffix)}.{statistics.name}") if statistics else None


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    for output in outputs:
        check_images_stay(output, images)
    return [Scan([image], output) for image, output in zip(images, outputs, strict=True)]


def _stem(image: Path) -> str:
    suffix = next((s for s in (*LABEL_MAP_SUFFIXES, ".nhdr", ".mhd") if image.name.lower().endswith(s)), "")
    return image.name[: -len(suffix)] if suffix else image.resolve().name


def _segment_file(scan: Scan, request: Request, standard_names: bool, in_process: bool) -> Summary:
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
    from ..volumes.statistics import statistics, write_statistics

    image = read_volume(scan.channels, scan.straighten)
    finished = segmenter(image, request, progress)
    finished.save(scan.output, standard_names, scan.channels[0])
    if scan.statistics:
        write_statistics(statistics(image, finished.label_map), scan.statistics)
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

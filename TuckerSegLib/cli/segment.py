"""`tuckerseg segment`: scans into segmentations, by the worker, which keeps the network warm from one to the next."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import Cancelled, InputError, NotEnoughMemory, OutputError, WorkerError
from ..volumes.output import LABEL_MAP_SUFFIXES, SEGMENTATION_SUFFIX, SUFFIXES, check_output

if TYPE_CHECKING:
    from ..progress import Progress
    from ..segmentation.request import Request
    from ..segmentation.result import Segmentation
    from ..volumes.volume import LabelMap, Volume

Summary = dict[str, Any]

Segmenter = Callable[["Volume", "Request", "Progress"], "Segmentation"]

_OF_ONE_SCAN = (InputError, NotEnoughMemory, WorkerError)
"""What can be wrong with one scan of many; everything else would be wrong with all of them."""


@dataclass(frozen=True)
class Scan:
    """One file or DICOM folder a channel, and where the result goes."""

    channels: Sequence[Path]
    output: Path


def segment(
    images: Annotated[list[Path], typer.Argument(metavar="INPUT", help="NIfTI, NRRD, MetaImage, DICOM folders.")],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="A .seg.nrrd segmentation, a .nii.gz, .nrrd or .mha label map, or a folder for many.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="sample, a task of TotalSegmentator's such as total-fast, a trained nnU-Net's folder, "
            "a .tuckerseg file.",
        ),
    ] = "sample",
    factor: Annotated[
        float,
        typer.Option("--factor", "-f", help="Share of each layer's channels kept, in (0, 1]; 1 is the original."),
    ] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[
        str, typer.Option(help="auto (the fastest on this computer), fused, openvino or torch.")
    ] = "auto",
    channel: Annotated[list[Path] | None, typer.Option(help="A further input channel (may be repeated).")] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Use this fold only (may be repeated); all otherwise.")] = None,
    roi_subset: Annotated[str, typer.Option(help="Only these structures, such as liver,spleen; all otherwise.")] = "",
    standard_names: Annotated[bool, typer.Option(help='Name segments "right kidney", not kidney_right.')] = False,
    suffix: Annotated[str, typer.Option(help="Of the files in an output folder.")] = SEGMENTATION_SUFFIX,
    exact_ranks: Annotated[
        bool, typer.Option("--exact-ranks", help="The published ranks, not those that are fast on this computer.")
    ] = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit the compressed layers to this scan: slower at first, more accurate.")
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run without the worker and its memory settings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Segment a volume, or several into a folder."""
    from ..segmentation.request import Request
    from . import console

    request = Request(
        model,
        factor,
        device,
        engine,
        structures=tuple(name.strip() for name in roi_subset.split(",") if name.strip()),
        exact_ranks=exact_ranks,
        fit_to_scan=fit,
        folds=tuple(int(name) if name.isdecimal() else name for name in fold or []),
    )
    with console.json_alone(as_json):
        if len(images) == 1 and not output.is_dir():
            summary = _segment_file(_into_file(images[0], output, channel or []), request, standard_names, in_process)
        else:
            scans = _into_folder(images, output, suffix, channel or [])
            summary = _segment_folder(scans, request, standard_names, in_process)
    if as_json:
        console.write_json(summary)
    else:
        _show(summary)
    if summary.get("failed"):
        raise typer.Exit(2)


def _into_file(image: Path, output: Path, channels: Sequence[Path]) -> Scan:
    check_output(output, [image, *channels])
    return Scan([image, *channels], output)


def _into_folder(images: Sequence[Path], folder: Path, suffix: str, channels: Sequence[Path]) -> list[Scan]:
    if channels:
        raise InputError("Further channels belong to one image: give that image alone, and a file as the output.")
    if suffix not in SUFFIXES:
        raise OutputError(f"{suffix} is no suffix of results: choose one of {', '.join(SUFFIXES)}.")
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
        check_output(output, images)
    return [Scan([image], output) for image, output in zip(images, outputs, strict=True)]


def _stem(image: Path) -> str:
    suffix = next((s for s in (*LABEL_MAP_SUFFIXES, ".nhdr", ".mhd") if image.name.lower().endswith(s)), "")
    return image.name[: -len(suffix)] if suffix else image.resolve().name


def _segment_file(scan: Scan, request: "Request", standard_names: bool, in_process: bool) -> Summary:
    from . import console

    try:
        with _segmenter(in_process) as segmenter, console.progress_bar() as progress:
            return _segment(segmenter, scan, request, standard_names, progress)
    except KeyboardInterrupt as error:
        raise Cancelled("Cancelled: nothing was written.") from error


def _segment_folder(scans: Sequence[Scan], request: "Request", standard_names: bool, in_process: bool) -> Summary:
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


def _segment(
    segmenter: Segmenter, scan: Scan, request: "Request", standard_names: bool, progress: "Progress"
) -> Summary:
    from ..volumes.files import read_volume, write_segmentation

    finished = segmenter(read_volume(scan.channels), request, progress)
    write_segmentation(finished.label_map, scan.output, standard_names)
    return _summary(finished, scan.output)


@contextmanager
def _segmenter(in_process: bool) -> Iterator[Segmenter]:
    """Segments in a worker that ends with the block, or in this process just as the worker does it there."""
    if in_process:
        yield _segmenter_here()
        return
    from ..worker.client import Client
    from .console import say_warning

    client = Client()

    def segment(volume: "Volume", request: "Request", progress: "Progress") -> "Segmentation":
        finished: Segmentation = client.segment(volume, request).wait(progress)
        for warning in finished.warnings:
            say_warning(warning)
        return finished

    try:
        client.call("ping")  # has it start while the first image is read
        yield segment
    finally:
        client.close()


def _segmenter_here() -> Segmenter:
    from ..segmentation.result import Segmentation
    from ..worker.service import Service

    service = Service()

    def segment(volume: "Volume", request: "Request", progress: "Progress") -> Segmentation:
        answer = service.answer("segment", asdict(request), volume, progress)
        assert answer.label_map is not None
        return Segmentation(answer.label_map, **answer.result)

    return segment


def _summary(finished: "Segmentation", output: Path) -> Summary:
    return {
        "output": str(output),
        "model": finished.model,
        "policy": dict(finished.policy),
        "parameters_removed": finished.parameters_removed,
        "layers_kept": finished.layers_kept,
        "cache": "hit" if finished.cache_hit else "miss",
        "engine": finished.engine,
        "seconds": dict(finished.seconds),
        "peak_memory_bytes": finished.peak_memory,
        "labels": _structures(finished.label_map),
    }


def _structures(label_map: "LabelMap") -> list[Summary]:
    volume = label_map.geometry.voxel_volume
    return [
        {"label": label, "name": label_map.names.get(label, str(label)), "voxels": n, "millilitres": n * volume}
        for label, n in label_map.voxel_counts().items()
    ]


def _show(summary: Summary) -> None:
    from . import console

    if "segmentations" in summary:
        done = summary["segmentations"]
        lines = [(s["output"], str(len(s["labels"])), f"{sum(s['seconds'].values()):.1f}", s["engine"]) for s in done]
        console.write_table(f"{len(done)} segmentations", ("File", "Structures", "Seconds", "Engine"), lines)
        return
    rows = [(s["name"], f"{s['voxels']:,}", f"{s['millilitres']:.1f}") for s in summary["labels"]]
    console.write_table(summary["output"], ("Structure", "Voxels", "Millilitres"), rows)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary["seconds"].items())
    print(f"{stages}, by {summary['engine']}")
    if summary["parameters_removed"]:
        print(
            f"{summary['parameters_removed']:.0%} of the parameters removed, {summary['layers_kept']} layers kept whole"
        )

"""The front door of TuckerSeg: nnU-Nets compressed by Tucker decomposition, from one line of Python.

    import TuckerSegLib as tuckerseg

    segmentation = tuckerseg.segment("ct.nii.gz", model="sample", factor=0.5)
    segmentation.save("ct.seg.nrrd")

Importing it is quick and needs no PyTorch: each function imports what it needs when it is called, and each class when
it is asked for. Research software, not a medical device.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import (
    Cancelled,
    InputError,
    ModelError,
    NotEnoughMemory,
    OutputError,
    TuckerSegError,
    WorkerError,
)
from .version import VERSION
from .waiting import wait_briefly

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

    from .cohorts.results import ScanResult
    from .progress import Event, Progress
    from .segmentation.compression import CompressedFile
    from .segmentation.request import Request
    from .segmentation.result import Segmentation
    from .segmentation.session import Session
    from .segmentation.slider.levels import Level
    from .volumes.volume import LabelMap, Volume
    from .worker.client import Client

    Image = str | Path | Sequence[str | Path] | Volume | sitk.Image

__version__ = VERSION

__all__ = [
    "Cancelled",
    "Client",
    "Event",
    "InputError",
    "LabelMap",
    "ModelError",
    "NotEnoughMemory",
    "OutputError",
    "Progress",
    "Request",
    "Segmentation",
    "Session",
    "TuckerSegError",
    "Volume",
    "WorkerError",
    "__version__",
    "cohort",
    "compress",
    "installed_models",
    "levels",
    "read",
    "segment",
]

_MODULES = {
    "Client": "worker.client",
    "Event": "progress",
    "LabelMap": "volumes.volume",
    "Progress": "progress",
    "Request": "segmentation.request",
    "Segmentation": "segmentation.result",
    "Session": "segmentation.session",
    "Volume": "volumes.volume",
}
"""Where the classes are that are imported once they are asked for."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__


def segment(
    image: "Image", *, progress: "Progress | Callable[[Event], None] | None" = None, **options: Any
) -> "Segmentation":
    """Segment an image; models stay open and prepared for the next call.

    Args:
        image: a file, a DICOM folder, several of them (one a channel), a `Volume` or a SimpleITK image.
        progress: told how far the run is, as `Event`; a `Progress` can cancel it as well.
        options: the fields of `Request` by name: model, factor, device, engine, structures, exact_ranks, folds, step,
            mirroring, remove_small_blobs, fit_to_scan, at_least and threads.

    Raises:
        InputError: the image or an option cannot be used.
        ModelError: there is no such model, it cannot be used, or its weights are not on this computer.
        NotEnoughMemory: the run would need more than is free.
        Cancelled: `progress` was cancelled.
    """
    from .progress import Progress
    from .segmentation.request import Request

    request = Request.of(**options)
    reporting = progress if isinstance(progress, Progress) else Progress(progress)
    return _session().segment(read(image), request, reporting)


def read(image: "Image") -> "Volume":
    """The image as a `Volume`: a file, a DICOM folder, several of them (one a channel), or a SimpleITK image.

    Raises:
        InputError: the image cannot be read, or is no 3D grey image.
    """
    from .volumes.files import read_volume
    from .volumes.volume import Volume

    if isinstance(image, Volume):
        return image
    if isinstance(image, str | Path):
        return read_volume([Path(image)])
    if isinstance(image, Sequence):
        return read_volume([Path(channel) for channel in image])
    from .volumes.simpleitk import volume_from_simpleitk

    return volume_from_simpleitk(image)


def compress(model: "str | Path", output: "str | Path", policy: str = "relative", **options: Any) -> "CompressedFile":
    """Compress a model into a `.tuckerseg` file that can be handed on, as `tuckerseg compress` does.

    Args:
        model: as for `segment`; of TotalSegmentator's tasks those that are one network.
        policy: relative (as published), energy, vbmf or budget.
        options: those of `segmentation.compression.compress_to_file`: factor, share, minimum, measure, images, folds
            and progress.

    Raises:
        InputError: an option or an image cannot be used.
        ModelError: the model cannot be used.
        OutputError: `output` has another suffix, or cannot be written.
    """
    from .segmentation.compression import compress_to_file

    return compress_to_file(model, output, policy, **options)


def cohort(
    inputs: "str | Path", results: "str | Path", *, workers: int | None = None, scheduler: str = "", **options: Any
) -> "Iterator[ScanResult]":
    """Segment every scan of a folder, table or archive, as `tuckerseg cohort run`; the same call goes on after a break.

    The results come as they are made, those of earlier calls last. What is not taken is not made. In a script the call
    belongs below `if __name__ == "__main__":`, as does everything that starts processes.

    Args:
        inputs: a folder, a .csv, .tsv or .parquet table with the columns "id" and "image", or a query of an archive,
            such as "https://pacs.example.org/dicom-web?Modality=CT".
        results: the folder for the results.
        workers: how many; as many as fit into this computer otherwise.
        scheduler: the address of a Dask cluster, in place of workers on this computer.
        options: as for `segment`, and suffix, standard_names and straighten as in the shell.

    Raises:
        InputError, ModelError, OutputError: an option or the folder cannot be used; no scan's fault raises anything.
        WorkerError: the scheduler cannot be reached or is gone.
    """
    from .cohorts.packages import check_packages

    check_packages()
    from .cohorts.results import results_of

    return results_of(inputs, Path(results), workers, scheduler, options)


def levels(model: "str | Path" = "sample", measure: bool = False) -> "Sequence[Level]":
    """What each position of the slider costs for a model: parameters, FLOPs, and agreement as far as it is known.

    With `measure` the agreement of every level is measured now, on phantoms, which takes minutes.

    Raises:
        InputError: the agreement of a task of several networks is to be measured.
        ModelError: there is no such model, or it cannot be used.
    """
    return _session().levels(str(model), measure).levels


def installed_models() -> dict[str, Path]:
    """The models that are found on this computer: what `segment` takes as a model, and the folder each is in."""
    from .models.installed import installed

    return installed()


@cache
def _session() -> "Session":
    """What all calls in this process share."""
    wait_briefly()
    from .segmentation.session import Session

    return Session()

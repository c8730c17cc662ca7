"""A cohort: scans, where their results go, and how they are segmented; opened by one run at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ..errors import InputError, OutputError
from ..models.sample import SAMPLE, SMALL_SAMPLE
from ..segmentation.request import Request
from ..version import VERSION
from ..volumes.output import DICOM_SUFFIX, SUFFIXES
from .manifest import FORMAT, Json, Manifest, read_manifest
from .places import Places
from .scans.archived import Query
from .scans.inputs import ID, IMAGE, inputs_of
from .work import Writing

if TYPE_CHECKING:
    from ..segmentation.session import Session


@dataclass(frozen=True)
class Cohort:
    """`inputs` is a folder of scans, a table whose columns `images` and `name` hold their files and ids, or a query.

    It may be given as text.
    """

    inputs: Path | Query
    results: Path
    request: Request = field(default_factory=Request)
    writing: Writing = field(default_factory=Writing)
    images: tuple[str, ...] = (IMAGE,)
    name: str = ID

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", inputs_of(self.inputs))
        model, *also = map(_anywhere, (self.request.model, *self.request.also))
        object.__setattr__(self, "request", replace(self.request, model=model, also=also))

    @property
    def places(self) -> Places:
        return Places(self.results.resolve())

    def settings(self, fingerprint: str) -> Json:
        """What must not change while the cohort is made; `fingerprint` is the model's."""
        request, writing = asdict(self.request), asdict(self.writing)
        return {
            "inputs": str(self.inputs.resolve() if isinstance(self.inputs, Path) else self.inputs),
            "images": list(self.images),
            "name": self.name,
            "request": {name: list(value) if isinstance(value, tuple) else value for name, value in request.items()},
            "writing": writing,
            "fingerprint": fingerprint,
        }


def _anywhere(model: str) -> str:
    """A model by a name that workers understand, whose working folders are others."""
    place = Path(model).expanduser()
    return str(place.absolute()) if model not in (SAMPLE, SMALL_SAMPLE) and place.exists() else model


def cohort_in(results: Path) -> Cohort:
    """The cohort whose results are in a folder, as it was begun.

    Raises:
        InputError: there is none.
    """
    settings = read_manifest(Places(results).manifest).settings
    if not settings:
        raise InputError(f"{results} holds no cohort: name the folder of results of 'tuckerseg cohort run'.")
    return Cohort(
        inputs_of(settings["inputs"]),
        results,
        Request(**settings["request"]),
        Writing(**settings["writing"]),
        tuple(settings["images"]),
        settings["name"],
    )


@contextmanager
def opened(cohort: Cohort) -> Iterator[Manifest]:
    """The manifest of a cohort that nobody else works on meanwhile.

    Raises:
        InputError: an option cannot be used, or the folder holds results of another cohort.
        ModelError: there is no such model, or it cannot be used.
        OutputError: the folder cannot be written to, or another run works on it.
    """
    if cohort.writing.suffix not in (*SUFFIXES, DICOM_SUFFIX):
        raise OutputError(f"{cohort.writing.suffix} is no suffix of results: choose one of {', '.join(SUFFIXES)}.")
    begun = read_manifest(cohort.places.manifest).settings
    settings = cohort.settings(_fingerprint(cohort.request))
    if begun:
        _check_same(begun, settings, cohort)
    cohort.places.make()
    with _alone(cohort.places):
        manifest = Manifest(cohort.places.manifest)
        try:
            if not begun:
                manifest.add("cohort", {"format": FORMAT, "version": VERSION, **settings})
            yield manifest
        finally:
            manifest.close()


def _fingerprint(request: Request) -> str:
    return _session().check(request)


@cache
def _session() -> "Session":
    """Opens models for all cohorts of this process, without their weights; PyTorch is imported for it alone."""
    from ..segmentation.session import Session

    return Session()


def _check_same(begun: Mapping[str, Any], settings: Mapping[str, Any], cohort: Cohort) -> None:
    elsewhere = f"give the same, or choose another folder than {cohort.results}."
    for part in ("request", "writing"):
        for name, value in settings[part].items():
            before = begun[part].get(name)
            if before != value:
                raise InputError(f"The results there were made with {name} {before}, not {value}: {elsewhere}")
    if begun["inputs"] != settings["inputs"]:
        raise InputError(f"The results there are those of {begun['inputs']}: {elsewhere}")
    if begun["fingerprint"] != settings["fingerprint"]:
        raise InputError(f"The model {cohort.request.model} has changed since the results there were made: {elsewhere}")
    if (begun["images"], begun["name"]) != (settings["images"], settings["name"]):
        raise InputError(f"The results there were made with other columns of the table: {elsewhere}")


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """The system gives the lock back when its process dies."""
    try:
        with FileLock(places.lock, timeout=0):
            yield
    except Timeout as error:
        raise OutputError(f"Another run is at work in {places.results}: wait until it is done, or stop it.") from error

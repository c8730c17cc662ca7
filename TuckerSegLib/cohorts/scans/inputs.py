"""The scans that a user means: in a folder and all below it, listed by a table, or found by a query of an archive."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError, suggestion
from ...volumes.dicom.series import volumes_in
from ...volumes.output import SEGMENTATION_SUFFIX
from . import tables
from .archived import Query, is_query, scans_of
from .scan import Scan, checked_id

IMAGE, ID = "image", "id"
"""What the columns of a table are called unless the user says otherwise."""

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")

_WITHOUT_IMAGES = (".json", ".csv", ".tsv", ".txt", ".raw", ".zraw", ".xml", ".html", ".md", ".pdf", ".png", ".jpg")
"""Files that are often beside images; a folder with nothing else is not looked through for DICOM."""


@dataclass
class Found:
    """The scans, and by their ids those that cannot be used, each with its sentence."""

    scans: list[Scan] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def refuse_copies(self) -> "Found":
        """Of scans with one id nobody knows which is meant."""
        counts = Counter(scan.id for scan in self.scans)
        for name, count in counts.items():
            if count > 1:
                places = " and ".join(str(scan.channels[0]) for scan in self.scans if scan.id == name)
                self.refused[name] = f"{count} scans have the id {name} ({places}): rename all but one of them."
        self.scans = [scan for scan in self.scans if scan.id not in self.refused]
        return self


def inputs_of(named: str | Path | Query) -> Path | Query:
    """What a user names: a folder or table, by its absolute path, or a query.

    Raises:
        InputError: it is a query for nothing in particular.
    """
    if isinstance(named, Query):
        return named
    if isinstance(named, str) and is_query(named):
        return Query.of(named)
    return Path(named).expanduser().absolute()


def find_scans(inputs: Path | Query, results: Path, images: Sequence[str] = (IMAGE,), name: str = ID) -> Found:
    """The scans in a folder, by their paths in it, in the rows of a .csv, .tsv or .parquet table, or in an archive.

    Args:
        inputs: the folder, table or query.
        results: a folder to leave out.
        images: the table's columns with the scan's file or DICOM folder, one a channel, relative to the table.
        name: the table's column with the scan's id.

    Raises:
        InputError: there is no such folder or table, it cannot be read, or it has no scans or no such column; or the
            archive cannot be asked.
    """
    if isinstance(inputs, Query):
        return _in_archive(inputs)
    if inputs.is_dir():
        if inputs.resolve() == results.resolve():
            raise InputError(f"{inputs} holds the scans: name another folder for the results.")
        found = _in_folder(inputs, results.resolve())
    elif inputs.suffix.lower() in tables.SUFFIXES:
        found = _in_table(inputs, images, name)
    elif not inputs.exists():
        raise InputError(f"{inputs} does not exist: name a folder of scans, or a table that lists them.")
    else:
        raise InputError(f"{inputs} is no folder and no table: end a table in {', '.join(tables.SUFFIXES)}.")
    if not found.scans and not found.refused:
        raise InputError(f"{inputs} has no scans: put NIfTI, NRRD or MetaImage files or DICOM series there.")
    return found.refuse_copies()


def _in_archive(query: Query) -> Found:
    found = Found(list(scans_of(query)))
    if not found.scans:
        raise InputError(f"The archive has no series of images for {query}: check what is asked for.")
    return found


def _in_folder(folder: Path, results: Path) -> Found:
    found = Found()
    seen = {results}
    for path, below, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        here = Path(path)
        seen.add(here.resolve())
        below[:] = sorted(one for one in below if not one.startswith(".") and (here / one).resolve() not in seen)
        shown = sorted(name for name in names if not name.startswith("."))
        images = [name for name in shown if _suffix(name) and not name.lower().endswith(SEGMENTATION_SUFFIX)]
        for name in images:
            place = (here / name[: -len(_suffix(name))]).relative_to(folder)
            _add(found, place.as_posix(), here / name)
        if any(not _suffix(name) and Path(name).suffix.lower() not in _WITHOUT_IMAGES for name in shown):
            _add_series(found, folder, here)
    return found


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read ({error.strerror}): ask for access to it, or leave it out.")


def _add_series(found: Found, folder: Path, here: Path) -> None:
    """The DICOM series whose files are in the folder `here`."""
    place = here.relative_to(folder).as_posix() if here != folder else folder.resolve().name
    try:
        for volume in volumes_in(here):
            _add(found, place if volume == here else f"{place}/{volume.stem}", volume)
    except (InputError, OSError) as error:
        found.refused[place] = str(error)


def _add(found: Found, name: str, path: Path) -> None:
    try:
        found.scans.append(Scan(checked_id(name), (path,)))
    except InputError as error:
        found.refused[name] = str(error)


def _suffix(name: str) -> str:
    return next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")


def _in_table(path: Path, images: Sequence[str], name: str) -> Found:
    rows = tables.read_table(path)
    columns = list(rows[0]) if rows else [*images, name]
    for wanted in (*images, name):
        if wanted not in columns:
            advice = suggestion(wanted, columns, f"there are {', '.join(columns)}.")
            raise InputError(f"{path} has no column {wanted}: {advice}")
    found = Found()
    for scan in _scans(rows, path.parent, images, name, found.refused.__setitem__):
        found.scans.append(scan)
    return found


def _scans(
    rows: Sequence[tables.Row], folder: Path, images: Sequence[str], name: str, refuse: Callable[[str, str], None]
) -> Iterator[Scan]:
    for number, row in enumerate(rows, start=1):
        text = "" if row[name] is None else str(row[name])
        try:
            channels = [str(row[column] or "") for column in images]
            if "" in channels:
                raise InputError(f"Row {number} of the table names no image: fill it in, or remove the row.")
            rest = {key: value for key, value in row.items() if key not in (*images, name)}
            yield Scan(checked_id(text), tuple(folder / Path(one).expanduser() for one in channels), rest)
        except InputError as error:
            refuse(text or f"row {number}", str(error))

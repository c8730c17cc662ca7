"""Scans in an archive (PACS): found by a query, fetched by the worker that segments them, and kept no longer."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ...errors import InputError
from ...volumes.dicom.archive import Archive, check_address
from ...volumes.dicom.series import NO_IMAGES
from .scan import Scan

_BYTES_OF_AN_INSTANCE = 512 * 512 * 2
"""Archives do not say how large a slice is; it is taken for an ordinary one of CT."""


@dataclass(frozen=True)
class Query:
    """The series of an archive whose attributes are those of `filters` (DICOM PS3.18, QIDO-RS).

    `url` is where its DICOMweb services begin; the text of a query is that address with the filters behind it, such as
    https://pacs.example.org/dicom-web?Modality=CT&StudyDate=20240101-20240131.
    """

    url: str
    filters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str) -> "Query":
        """
        Raises:
            InputError: it asks for nothing in particular, or not of an archive that may be asked.
        """
        check_address(text)
        parts = urlsplit(text)
        filters = tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        if not filters:
            raise InputError(f"Say which series of {parts.hostname} are meant, such as {url}?Modality=CT.")
        return cls(url, filters)

    def __str__(self) -> str:
        return f"{self.url}?{urlencode(self.filters)}"


@dataclass(frozen=True)
class ArchivedScan(Scan):
    """A series of the archive at `url`, called by its UID; so many `instances` belong to it."""

    url: str = ""
    instances: int = 0

    @contextmanager
    def at_hand(self) -> Iterator[Scan]:
        with tempfile.TemporaryDirectory() as folder:
            Archive(self.url).pull(self.id, Path(folder))
            yield Scan(self.id, (Path(folder),), self.columns)

    def size(self) -> int:
        """Bytes, as far as one can tell before it is fetched."""
        return self.instances * _BYTES_OF_AN_INSTANCE

    def stamp(self) -> str:
        """Changes when the archive has got or lost some of the series' instances."""
        return hashlib.sha256(f"{self.url} {self.id} {self.instances}".encode()).hexdigest()[:32]


def is_query(text: str) -> bool:
    """Whether a user means an archive, and no file or folder."""
    return "://" in text


def scans_of(query: Query) -> list[ArchivedScan]:
    """The series of images that a query finds; results of earlier segmentations are none.

    Raises:
        InputError: the archive cannot be reached, does not let the user in, or does not know such a filter.
    """
    found = Archive(query.url).find(dict(query.filters))
    return [
        ArchivedScan(one.uid, (), {"study": one.study, "modality": one.modality}, query.url, one.instances)
        for one in found
        if one.modality not in NO_IMAGES
    ]

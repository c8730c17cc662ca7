"""Where everything of a cohort lies in its folder of results; all workers see that folder.

<id>.seg.nrrd               the results
manifest.jsonl              what became of every scan
measurements.parquet, .csv  a row for each scan and structure
report.html                 all of it to look at
.cohort/running/            a mark for each scan that a worker is at; one that is left tells of a worker that died
.cohort/outcomes/           what workers have done and the manifest does not know yet
.cohort/unfinished/         results that are being written
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ..errors import OutputError, is_full_disk
from ..volumes.output import make_folder

_WORKING = ".cohort"


@dataclass(frozen=True)
class Places:
    """The files of the cohort in the folder `results`."""

    results: Path

    @property
    def manifest(self) -> Path:
        return self.results / "manifest.jsonl"

    @property
    def lock(self) -> Path:
        return self.results / _WORKING / "lock"

    @property
    def report(self) -> Path:
        return self.results / "report.html"

    @property
    def running(self) -> Path:
        return self.results / _WORKING / "running"

    @property
    def outcomes(self) -> Path:
        return self.results / _WORKING / "outcomes"

    @property
    def unfinished(self) -> Path:
        return self.results / _WORKING / "unfinished"

    @property
    def logs(self) -> Path:
        return self.results / _WORKING / "logs"

    def result(self, scan: str, suffix: str) -> Path:
        """Where the result of the scan with this id goes."""
        return self.results / f"{scan}{suffix}"

    def measurements(self, suffix: str) -> Path:
        return self.results / f"measurements{suffix}"

    def make(self) -> None:
        """
        Raises:
            OutputError: the folders cannot be made.
        """
        for folder in (self.running, self.outcomes, self.unfinished, self.logs):
            make_folder(folder)

    def forget_unfinished(self) -> None:
        """Remove what workers that are gone left half-written."""
        for left in self.unfinished.iterdir():
            shutil.rmtree(left, ignore_errors=True)


def new_token(scan: str) -> str:
    """What names one attempt at a scan; no other attempt at it, nor at another scan, has the same."""
    return f"{hashlib.sha256(scan.encode()).hexdigest()[:16]}-{uuid4().hex[:8]}"


def unwritable(path: Path, error: OSError) -> OutputError:
    """What is said where nothing can be written."""
    if is_full_disk(error):
        return OutputError(f"The disk of {path} is full: free some space and give the same command again.")
    return OutputError(f"{path} cannot be written ({error.strerror}): choose another folder, or ask for access to it.")

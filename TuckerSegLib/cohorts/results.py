"""A cohort from Python: an iterator of what became of each scan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..segmentation.request import Request
from .clusters import Where
from .cohort import Cohort
from .manifest import DONE, Json, read_manifest
from .running import run
from .scans.inputs import inputs_of
from .work import Writing


@dataclass(frozen=True)
class ScanResult:
    """What became of one scan.

    Attributes:
        id: the scan's; of a folder its path in it, without the suffix.
        path: the result; None where there is none.
        error: why there is none, in a sentence; None where there is one.
        record: all that the manifest knows of it.
    """

    id: str
    path: Path | None
    error: str | None
    record: Mapping[str, Any]

    @property
    def volumes(self) -> dict[str, float]:
        """Millilitres of each structure that was found."""
        return {one["name"]: one["volume"] / 1000.0 for one in self.record.get("structures", ())}

    @property
    def seconds(self) -> float:
        """From file to file; 0 where the scan failed."""
        return float(self.record.get("seconds", {}).get("all", 0.0))

    @property
    def agreement(self) -> float | None:
        """As it was predicted; None where it was not."""
        return self.record.get("agreement")


def results_of(
    inputs: str | Path, results: Path, workers: int | None, scheduler: str, options: Mapping[str, Any]
) -> Iterator[ScanResult]:
    """The results of a cohort, those of earlier runs last.

    Raises:
        InputError: an option does not exist or cannot be used; and as `run`.
    """
    of_files = [field.name for field in fields(Writing)]
    writing = Writing(**{name: value for name, value in options.items() if name in of_files})
    request = Request.of(**{name: value for name, value in options.items() if name not in of_files})
    return _results(Cohort(inputs_of(inputs), results, request, writing), Where(workers, scheduler))


def _results(cohort: Cohort, where: Where) -> Iterator[ScanResult]:
    earlier = read_manifest(cohort.places.manifest).records
    told: set[str] = set()
    for record in run(cohort, where):
        told.add(record["id"])
        yield _result(cohort, record)
    for record in earlier.values():
        if record["id"] not in told:
            yield _result(cohort, record)


def _result(cohort: Cohort, record: Json) -> ScanResult:
    done = record["event"] == DONE
    path = cohort.places.result(record["id"], cohort.writing.suffix) if done else None
    return ScanResult(record["id"], path, record.get("sentence"), record)

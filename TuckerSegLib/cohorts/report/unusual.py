"""Scans whose structures differ in size from those of all others: where one looks for failed segmentations first.

A volume's distance from the cohort's median is measured on the logarithm, in robust standard deviations (1.4826 times
the median absolute deviation; Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, who take 3.5 for unusual).
Structures at the image's border are left out: their volume is that of a part.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..manifest import Json

UNUSUAL = 3.5

_ENOUGH = 8
"""Scans that have a structure, below which nobody can say what is usual."""

_COMMON = 0.9
"""A structure that so large a share of the scans has is missed where it is not found."""

_NARROWEST = 0.02
"""The least deviation that is believed: of the logarithm, that is about 2 %."""


@dataclass(frozen=True)
class Volumes:
    """The millilitres of one structure in each scan that shows all of it, by the scans' ids."""

    name: str
    by_scan: Mapping[str, float]

    @property
    def median(self) -> float:
        return median(self.by_scan.values())

    @property
    def deviation(self) -> float:
        """Of the logarithms, robust."""
        middle = math.log(self.median)
        return max(1.4826 * median(abs(math.log(value) - middle) for value in self.by_scan.values()), _NARROWEST)

    def distances(self) -> dict[str, float]:
        """How many deviations each scan lies above or below the median; none where there are too few scans."""
        if len(self.by_scan) < _ENOUGH:
            return {}
        middle, deviation = math.log(self.median), self.deviation
        return {scan: (math.log(value) - middle) / deviation for scan, value in self.by_scan.items()}


@dataclass(frozen=True)
class Unusual:
    """A scan whose `structure` lies `distance` deviations from the median of `usual` ml; 0 ml where it is missing."""

    scan: str
    structure: str
    volume: float
    usual: float
    distance: float

    def __str__(self) -> str:
        if not self.volume:
            return f"{self.structure} is missing (median {_ml(self.usual)})"
        return f"{self.structure} has {_ml(self.volume)} (median {_ml(self.usual)}, {self.distance:+.1f} deviations)"


def _ml(volume: float) -> str:
    return f"{volume:,.0f} ml" if volume >= 10 else f"{volume:.2g} ml"


def volumes_of(records: Sequence[Json]) -> list[Volumes]:
    """Of each structure that some scan shows whole, by name."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        for structure in record["structures"]:
            of_one = found.setdefault(structure["name"], {})
            if not structure["touches_border"]:
                of_one[record["id"]] = structure["volume"] / 1000.0
    return [Volumes(name, by_scan) for name, by_scan in sorted(found.items()) if by_scan]


def unusual_scans(records: Sequence[Json], volumes: Sequence[Volumes]) -> list[Unusual]:
    """The scans with an unusual volume or a missing structure, each with its worst one, the worst first."""
    worst: dict[str, Unusual] = {}
    for one in (*_distant(volumes), *_missing(records, volumes)):
        if one.scan not in worst or abs(one.distance) > abs(worst[one.scan].distance):
            worst[one.scan] = one
    return sorted(worst.values(), key=lambda one: (-abs(one.distance), one.scan))


def _distant(volumes: Sequence[Volumes]) -> Iterable[Unusual]:
    for one in volumes:
        for scan, distance in one.distances().items():
            if abs(distance) > UNUSUAL:
                yield Unusual(scan, one.name, one.by_scan[scan], one.median, distance)


def _missing(records: Sequence[Json], volumes: Sequence[Volumes]) -> Iterable[Unusual]:
    if len(records) < _ENOUGH:
        return
    shown = {record["id"]: {structure["name"] for structure in record["structures"]} for record in records}
    for one in volumes:
        without = [scan for scan, names in shown.items() if one.name not in names]
        if 0 < len(without) <= (1 - _COMMON) * len(records):
            for scan in without:
                yield Unusual(scan, one.name, 0.0, one.median, -math.inf)

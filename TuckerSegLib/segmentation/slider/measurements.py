"""What was measured on this computer, remembered in one string: seconds and agreement a level."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ...progress import PREPARING
from ...volumes.volume import Volume
from ..request import Request
from ..result import Segmentation


@dataclass(frozen=True)
class Setup:
    """What a measurement holds for, apart from the level; `device` and `engine` as they were asked for."""

    model: str
    device: str = "auto"
    engine: str = "auto"
    exact_ranks: bool = False
    fit_to_scan: bool = False
    folds: tuple[int | str, ...] = ()
    step: float | None = None
    mirroring: bool = True
    at_least: float | None = None

    @property
    def key(self) -> str:
        return json.dumps(list(asdict(self).values()))


@dataclass(frozen=True)
class Measured:
    """One level: `seconds` it took for a scan of `millilitres`, mean Dice with the original; None where unknown.

    `preparing` are the seconds that its first run took besides, `prepared` is whether that is behind.
    """

    factor: float
    seconds: float | None = None
    millilitres: float | None = None
    agreement: float | None = None
    preparing: float | None = None
    prepared: bool = False


@dataclass(frozen=True)
class Expected:
    """What to expect of one level on one scan; None where nothing was measured.

    `speedup` says how many times faster it is than the original, `preparing` how many seconds its first run takes
    besides; None where that is behind or unknown.
    """

    seconds: float | None = None
    agreement: float | None = None
    speedup: float | None = None
    preparing: float | None = None


class Measurements:
    """Reads and writes one string, such as a setting of the application."""

    def __init__(self, read: Callable[[], str], write: Callable[[str], None]) -> None:
        self._read = read
        self._write = write

    def of(self, setup: Setup) -> list[Measured]:
        """Every measured level, the most accurate first."""
        found = [Measured(**level) for level in self._all().get(setup.key, [])]
        return sorted(found, key=lambda measured: -measured.factor)

    def expected(self, setup: Setup, factor: float, millilitres: float | None) -> Expected:
        """For a scan of this size; a scan twice as large is taken to need twice the time."""
        measured = self._level(setup, factor)
        seconds = _seconds(measured, millilitres)
        original = _seconds(self._level(setup, 1.0), millilitres)
        speedup = original / seconds if original and seconds and factor != 1 else None
        return Expected(seconds, measured.agreement, speedup, self._preparing(setup, measured))

    def remember_time(self, setup: Setup, factor: float, seconds: float, millilitres: float) -> None:
        self._put(setup, replace(self._level(setup, factor), seconds=seconds, millilitres=millilitres))

    def remember_preparation(self, setup: Setup, factor: float, seconds: float | None) -> None:
        """A run at this level has ended; `seconds` are what preparing it took, None where that was behind already."""
        level = replace(self._level(setup, factor), prepared=True)
        self._put(setup, level if seconds is None else replace(level, preparing=seconds))

    def forget_preparations(self) -> None:
        """What was prepared was removed from the disk."""
        everything = {key: [{**level, "prepared": False} for level in levels] for key, levels in self._all().items()}
        self._write(json.dumps(everything))

    def forget(self, setup: Setup) -> None:
        """Nothing that was measured holds any more, as the levels are others now."""
        self._write(json.dumps({key: levels for key, levels in self._all().items() if key != setup.key}))

    def remember_agreement(self, setup: Setup, factor: float, agreement: float) -> None:
        self._put(setup, replace(self._level(setup, factor), agreement=agreement))

    def _preparing(self, setup: Setup, level: Measured) -> float | None:
        """What the first run takes besides; as other levels of the model did, where this one was never prepared."""
        if level.prepared:
            return None
        known = [other.preparing for other in self.of(setup) if other.preparing is not None and other.factor != 1]
        return level.preparing if level.preparing is not None else max(known, default=None)

    def _level(self, setup: Setup, factor: float) -> Measured:
        return next((level for level in self.of(setup) if level.factor == factor), Measured(factor))

    def _put(self, setup: Setup, measured: Measured) -> None:
        others = [level for level in self.of(setup) if level.factor != measured.factor]
        everything = {**self._all(), setup.key: [asdict(level) for level in (*others, measured)]}
        self._write(json.dumps(everything))

    def _all(self) -> dict[str, list[dict[str, Any]]]:
        try:
            found = json.loads(self._read() or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _seconds(level: Measured, millilitres: float | None) -> float | None:
    if level.seconds is None or not millilitres or not level.millilitres:
        return level.seconds
    return level.seconds * millilitres / level.millilitres


def setup_of(request: Request) -> Setup:
    """What a measurement of this request holds for."""
    return Setup(**{field.name: getattr(request, field.name) for field in fields(Setup)})


def seconds_of(finished: Segmentation) -> float:
    """How long the same run takes once the level is made and loaded."""
    return sum(seconds for stage, seconds in finished.seconds.items() if stage not in PREPARING)


def preparing_of(finished: Segmentation) -> float:
    """What a run took besides because the level had to be made and loaded."""
    return sum(seconds for stage, seconds in finished.seconds.items() if stage in PREPARING)


def millilitres(volume: Volume) -> float:
    """The size of the whole image, air included."""
    return float(np.prod(volume.geometry.shape)) * volume.geometry.voxel_volume

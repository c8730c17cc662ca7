"""From file to file: TuckerSeg at several levels beside the program that the model comes from, in turns."""

import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...models.sample import sample_model_folder, sample_names
from ...models.totalsegmentator.tasks import task, task_names
from ...models.totalsegmentator.weights import check_installed
from ...progress import Progress
from ...version import VERSION
from ...volumes.dice import mean_dice
from ...volumes.files import read_volume
from .computer import computer
from .footprint import Footprint
from .in_turns import Job, in_turns, rounds
from .program import Program, program

FACTORS = (1.0, 0.5, 0.3, 0.1)

Labels = npt.NDArray[np.generic]

_PACKAGES = {"TotalSegmentator": "TotalSegmentator", "nnU-Net": "nnunetv2"}


@dataclass
class Measured:
    """One program at one level: `seconds` of each run, `peak` bytes, and how its result agrees with the stock one's.

    `factor` is None for the stock program. `equal` is the share of voxels with the same label, `dice` the mean over
    structures.
    """

    program: str
    factor: float | None
    engine: str = ""
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    equal: float = 1.0
    dice: float = 1.0

    def __str__(self) -> str:
        return self.program + (f" at {self.factor:g}" if self.factor else "")

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def pipeline(
    model: str,
    image: Path,
    factors: Sequence[float] = FACTORS,
    repeats: int = 3,
    progress: Progress | None = None,
    until: float = math.inf,
) -> list[Measured]:
    """The stock program first, then TuckerSeg at each of `factors`.

    Each program has a process of its own, and all stay alive. The first run of each is a warm-up, the second is watched
    for its memory, and `repeats` more, alternating, are timed, as far as they begin before `until` of `time.monotonic`.

    Raises:
        Cancelled: `progress` was cancelled, before the next run.
        InputError: no other program runs the model, or the image cannot be read.
        TuckerSegError: a program fails.
    """
    stock, stock_model = _stock_of(model)
    read_volume([image])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_programs:
        contestants = [Measured(stock, None), *(Measured("TuckerSeg", factor) for factor in factors)]
        runs = [
            _Run(measured, open_programs.enter_context(_program(measured, of)), image, Path(folder))
            for measured, of in zip(contestants, [stock_model, *[model] * len(factors)], strict=True)
        ]
        jobs: list[Job] = [(f"warming up {run}", run) for run in runs]
        jobs += [(f"watching the memory of {run}", run.watched) for run in runs]
        jobs += rounds([(f"timing {run}", run.timed) for run in runs], repeats, until)
        in_turns(jobs, progress)
        for run in runs[1:]:
            run.compare(runs[0])
    return contestants


def as_json(model: str, image: Path, measured: Sequence[Measured]) -> dict[str, object]:
    """All results; memory is in bytes, and seconds are medians with their range."""
    stock, *levels = measured
    shape = read_volume([image]).geometry.shape
    return {
        "computer": computer(),
        "versions": versions(measured),
        "model": model,
        "image": {"name": image.name, "shape": list(shape)},
        "stock": {"program": stock.program, **_numbers(stock)},
        "levels": [
            {
                "factor": level.factor,
                "engine": level.engine,
                **_numbers(level),
                "speedup": stock.median / level.median,
                "share_of_stock_memory": level.peak / stock.peak,
                "equal_voxels": level.equal,
                "mean_dice": level.dice,
            }
            for level in levels
        ],
    }


def versions(measured: Sequence[Measured]) -> dict[str, str]:
    """The version of each program that was measured."""
    programs = dict.fromkeys(one.program for one in measured)
    return {name: version(_PACKAGES[name]) if name in _PACKAGES else VERSION for name in programs}


def _numbers(measured: Measured) -> dict[str, object]:
    spread = {"fastest": min(measured.seconds), "slowest": max(measured.seconds)}
    return {"seconds": measured.median, **spread, "runs": len(measured.seconds), "peak_memory": measured.peak}


def _stock_of(model: str) -> tuple[str, str]:
    """The program that runs the model uncompressed, and the model's name there."""
    if model in task_names():
        check_installed(task(model))
        return "TotalSegmentator", model
    folder = sample_model_folder(model) if model in sample_names() else Path(model).expanduser()
    if not (folder / "plans.json").is_file():
        raise InputError(
            f"No other program runs {model}: name a task of TotalSegmentator's or the folder of a trained nnU-Net."
        )
    return "nnU-Net", str(folder)


class _Run:
    """One program that segments the image again and again, and what was measured of it."""

    def __init__(self, measured: Measured, program: Program, image: Path, folder: Path) -> None:
        self._measured, self._program, self._image = measured, program, image
        self._output = folder / f"{measured.program}_{measured.factor}.nii.gz"

    def __str__(self) -> str:
        return str(self._measured)

    def __call__(self) -> dict[str, Any]:
        factor = self._measured.factor or 1.0
        answer = self._program.ask(image=str(self._image), output=str(self._output), factor=factor)
        self._measured.engine = answer["engine"]
        return answer

    def watched(self) -> None:
        with Footprint(self._program.pid) as footprint:
            self()
        self._measured.peak = footprint.peak

    def timed(self) -> None:
        self._measured.seconds.append(self()["seconds"])

    def compare(self, stock: "_Run") -> None:
        ours, theirs = self._labels(), stock._labels()
        self._measured.equal = float((ours == theirs).mean())
        self._measured.dice = mean_dice(theirs, ours)

    def _labels(self) -> npt.NDArray[np.unsignedinteger]:
        labels: npt.NDArray[np.unsignedinteger] = read_volume([self._output]).voxels[0].astype(np.uint16)
        return labels


def _program(measured: Measured, model: str) -> AbstractContextManager[Program]:
    return program(str(measured), [sys.executable, "-m", f"{__package__}.stock_programs", measured.program, model])

"""One patch through one network: each level beside the original as nnU-Net runs it today, in turns."""

import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...decomposition.published import LEVELS
from ...engines.devices import torch_device
from ...progress import Progress
from ...volumes.files import read_volume
from ...waiting import as_usual
from ...worker.process import SETTINGS, environment
from ..figures import COLOURS, plot
from . import roofline
from .computer import computer
from .in_turns import Job, in_turns, rounds
from .program import Program, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class Timed:
    """The stock network, another program's, or a level: the `seconds` of each run, and `facts` told by its process."""

    factor: float | None
    facts: Mapping[str, Any]
    program: str = "TuckerSeg"
    seconds: list[float] = field(default_factory=list)
    relative_error: float | None = None
    agreement: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """The stock network and the levels, what the computer can do at most, and other programs with the stock network."""

    stock: Timed
    levels: Sequence[Timed]
    operations_a_second: float
    bytes_a_second: float
    others: Sequence[Timed] = ()

    def speedup(self, level: Timed) -> float:
        return self.stock.median / level.median

    def arithmetic(self, level: Timed) -> float:
        """Seconds that the level's multiply-adds would take if nothing else had to be done."""
        return float(2 * level.facts["multiply_adds"] / self.operations_a_second)


@dataclass(frozen=True)
class Options:
    """How levels are run and what else is measured of them.

    Attributes:
        repeats: runs of each level.
        ranks: "tuned" to this computer, as "published", or those of the slider's "position".
        errors: whether each answer is compared with what the same weights give in double precision, which takes minutes
            for a large network; on a GPU, in single precision.
        image: what every level segments, to be compared with the original; nothing where it is None.
        device: "cpu" or "cuda", where the stock network runs in half precision, as nnU-Net has it.
        beside: further programs that run the original network, of `runtimes.others.OTHERS`; on the CPU.
        until: the moment of `time.monotonic` after which no further round begins.
    """

    repeats: int = 5
    ranks: str = "tuned"
    engine: str = "auto"
    errors: bool = True
    image: Path | None = None
    device: str = "cpu"
    beside: Sequence[str] = ()
    until: float = math.inf


def network(
    model: str,
    factors: Sequence[float] = LEVELS,
    options: Options = Options(),
    progress: Progress | None = None,
) -> Comparison:
    """Run the first fold of `model` on one patch at each level, the stock network before each round.

    The stock network has a process of its own with the system's allocator; the levels' has the worker's settings.

    Raises:
        TuckerSegError: the model, the image or the device cannot be used.
        Cancelled: `progress` was cancelled, before the next run.
    """
    device = torch_device(options.device)
    if options.image:
        read_volume([options.image])
    with ExitStack() as programs:
        stock = _Runs(None, programs.enter_context(_program("stock", model)), options)
        process = programs.enter_context(_program("tuckerseg", model))
        levels = [_Runs(factor, process, options) for factor in factors]
        others = [_Runs(None, programs.enter_context(_program(name, model)), options, name) for name in options.beside]
        runs = (stock, *others, *levels)
        jobs: list[Job] = [(f"preparing {run}", run.prepare) for run in runs]
        jobs += [(f"warming up {run}", run.warm_up) for run in (stock, *others)]
        jobs += rounds([(str(run), run.time) for run in runs], options.repeats, options.until)
        inexact = levels if device.type == "cpu" else [stock, *levels]
        jobs += [(f"the error of {run}", run.compare) for run in inexact if options.errors]
        jobs += [(f"the agreement of {run}", run.agree) for run in levels if options.image]
        in_turns(jobs, progress)
    limits = roofline.operations_a_second(device), roofline.bytes_a_second(device)
    return Comparison(stock.timed, [run.timed for run in levels], *limits, [run.timed for run in others])


class _Runs:
    """The stock network, another program's or a level in its process, and what was measured of it."""

    def __init__(self, factor: float | None, process: Program, options: Options, name: str = "") -> None:
        self.timed = Timed(factor, {}, name or ("PyTorch" if factor is None else "TuckerSeg"))
        self._process, self._options = process, options

    def __str__(self) -> str:
        return f"the network in {self.timed.program}" if self.timed.factor is None else f"factor {self.timed.factor:g}"

    def prepare(self) -> None:
        asked = {name: getattr(self._options, name) for name in ("ranks", "engine", "device")}
        self.timed.facts = self._ask("prepare", **asked)

    def warm_up(self) -> None:
        self._ask("run")

    def time(self) -> None:
        self.timed.seconds.append(self._ask("run")["seconds"])

    def compare(self) -> None:
        self.timed.relative_error = self._ask("error")["relative_error"]

    def agree(self) -> None:
        self.timed.agreement = self._ask("agree", image=str(self._options.image))["agreement"]

    def _ask(self, work: str, **request: object) -> dict[str, Any]:
        return self._process.ask(do=work, factor=self.timed.factor or 1.0, **request)


def as_json(model: str, found: Comparison, device: str = "cpu") -> dict[str, object]:
    """Seconds as medians with their range."""
    return {
        "computer": computer(device),
        "model": model,
        "stock_relative_error": found.stock.relative_error,
        "stock_seconds": found.stock.median,
        "stock_runs": found.stock.seconds,
        "others": [
            {"program": other.program, **other.facts, "seconds": other.median, "runs": other.seconds}
            for other in found.others
        ],
        "operations_a_second": found.operations_a_second,
        "bytes_a_second": found.bytes_a_second,
        "levels": [
            {
                "factor": level.factor,
                **level.facts,
                "seconds": level.median,
                "runs": level.seconds,
                "speedup": found.speedup(level),
                "relative_error": level.relative_error,
                "agreement": level.agreement,
                "arithmetic_seconds": found.arithmetic(level),
            }
            for level in found.levels
        ],
    }


def draw(found: Comparison, path: Path) -> None:
    """Seconds against parameters and, where it was measured, against agreement, as a PNG or SVG.

    Raises:
        OutputError: the file has another suffix or cannot be written, or matplotlib is missing.
    """
    agreed = [level for level in found.levels if level.agreement is not None]
    with plot(path, width=10.0 if agreed else 6.4, panels=2 if agreed else 1) as axes:
        parameters = [level.facts["parameters"] for level in found.levels]
        arithmetic = [found.arithmetic(level) for level in found.levels]
        axes[0].plot(parameters, arithmetic, "--", color=COLOURS[1], label="the arithmetic alone")
        _panel(axes[0], found, found.levels, parameters)
        axes[0].set(xscale="log", xlabel="parameters")
        axes[0].legend()
        if agreed:
            _panel(axes[1], found, agreed, [level.agreement or 0.0 for level in agreed])
            axes[1].set_xlabel("agreement with the original (mean Dice)")


def _panel(axis: "Axes", found: Comparison, levels: Sequence[Timed], across: Sequence[float]) -> None:
    axis.plot(across, [level.median for level in levels], "o-", color=COLOURS[0], label="TuckerSeg")
    axis.axhline(found.stock.median, color="0.4", label="the original in PyTorch")
    for index, (level, place) in enumerate(zip(levels, across, strict=True)):
        # In turns above and below, where neighbours' labels do not meet.
        offset = (4, -12) if index % 2 else (-8, 6)
        axis.annotate(f"{level.factor:g}", (place, level.median), textcoords="offset points", xytext=offset, fontsize=8)
    axis.set_yscale("log", subs=(2, 5))
    axis.set_ylabel("seconds a patch", labelpad=14)
    for formatted in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        formatted("{x:g}")
    axis.grid(True, which="both", alpha=0.3)


def _program(name: str, model: str) -> AbstractContextManager[Program]:
    command = [sys.executable, "-P", "-m", f"{__package__}.one_patch_process", name, model]
    settings = environment(os.environ)
    if name != "tuckerseg":
        settings = as_usual({key: value for key, value in settings.items() if key not in SETTINGS})
    return program(f"The {name} network", command, settings)

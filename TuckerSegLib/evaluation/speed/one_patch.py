"""One patch through one network: each level beside the original as nnU-Net runs it today, in turns."""

import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...decomposition.published import LEVELS
from ...volumes.files import read_volume
from ...worker.process import ALLOCATOR, environment
from ..figures import COLOURS, plot
from . import roofline
from .computer import computer
from .program import Program, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Tell = Callable[[str], None]


@dataclass
class Timed:
    """The stock network, or a level: the `seconds` of each run, and what was told when it was prepared."""

    factor: float | None
    facts: Mapping[str, Any]
    seconds: list[float] = field(default_factory=list)
    relative_error: float | None = None
    agreement: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """The stock network and the levels, and what the computer can do at most."""

    stock: Timed
    levels: Sequence[Timed]
    operations_a_second: float
    bytes_a_second: float

    def speedup(self, level: Timed) -> float:
        return self.stock.median / level.median

    def arithmetic(self, level: Timed) -> float:
        """Seconds that the level's multiply-adds would take if nothing else had to be done."""
        return float(2 * level.facts["multiply_adds"] / self.operations_a_second)


def network(
    model: str,
    factors: Sequence[float] = LEVELS,
    repeats: int = 5,
    exact_ranks: bool = False,
    engine: str = "auto",
    errors: bool = True,
    tell: Tell = lambda _: None,
    image: Path | None = None,
) -> Comparison:
    """Run the first fold of `model` on one patch, `repeats` times at each level, the stock network before each round.

    Two processes: the stock network's has the system's allocator, the other the worker's settings. With `errors`, each
    level's answer is compared with the same weights' in double precision, which takes minutes for a large network. With
    an `image`, every level segments it, and is compared with the original.

    Raises:
        TuckerSegError: the model or the image cannot be used.
    """
    if image:
        read_volume([image])
    with ExitStack() as programs:
        stock_runs = programs.enter_context(_program("stock", model)).ask
        level_runs = programs.enter_context(_program("tuckerseg", model)).ask
        options = {"exact_ranks": exact_ranks, "engine": engine}
        tell("preparing the stock network")
        stock = Timed(None, stock_runs(do="prepare", factor=1.0, **options))
        levels = []
        for factor in factors:
            tell(f"preparing factor {factor:g}")
            levels.append(Timed(factor, level_runs(do="prepare", factor=factor, **options)))
        stock_runs(do="run", factor=1.0)
        for repeat in range(repeats):
            tell(f"round {repeat + 1} of {repeats}")
            stock.seconds.append(stock_runs(do="run", factor=1.0)["seconds"])
            for level in levels:
                level.seconds.append(level_runs(do="run", factor=level.factor)["seconds"])
        for level in levels if errors else []:
            tell(f"factor {level.factor:g} in double precision")
            level.relative_error = level_runs(do="error", factor=level.factor)["relative_error"]
        for level in levels if image else []:
            tell(f"the agreement of factor {level.factor:g}")
            level.agreement = level_runs(do="agree", factor=level.factor, image=str(image))["agreement"]
    tell("this computer's limits")
    return Comparison(stock, levels, roofline.operations_a_second(), roofline.bytes_a_second())


def as_json(model: str, found: Comparison) -> dict[str, object]:
    """Seconds as medians with their range."""
    return {
        "computer": computer(),
        "model": model,
        "stock_seconds": found.stock.median,
        "stock_runs": found.stock.seconds,
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
    if name == "stock":
        settings = {key: value for key, value in settings.items() if key not in ALLOCATOR}
    return program(f"The {name} network", command, settings)

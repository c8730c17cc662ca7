"""Plots in files: matplotlib without a screen."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError
from ..volumes.output import check_writable, whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")
"""Told apart by colour-blind readers too (Okabe and Ito)."""

SUFFIXES = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Whether a plot can be written to `path`, to be asked before a long run.

    Raises:
        OutputError: the suffix is none of `SUFFIXES`, matplotlib is missing, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} has no suffix a plot can be written as: end it in {' or '.join(SUFFIXES)}.")
    if find_spec("matplotlib") is None:
        raise OutputError("Plots need matplotlib: install it with pip install matplotlib.")
    check_writable(path)


@contextmanager
def plot(path: Path, width: float = 6.4, height: float = 4.2, panels: int = 1) -> Iterator[list["Axes"]]:
    """Panels side by side, to be drawn in; they are written to `path` when the block ends well. Sizes are in inches.

    Raises:
        OutputError: as in `check_plot`.
    """
    check_plot(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, panels, figsize=(width, height), squeeze=False, layout="constrained")
    try:
        yield list(axes[0])
        with whole_file(path) as partial:
            figure.savefig(partial, dpi=130)
    finally:
        pyplot.close(figure)

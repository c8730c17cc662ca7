"""What can be asked for; free of PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """How to segment: see `pipeline.segment`.

    `structures` keeps these alone, all where it is empty; `exact_ranks` takes the published ranks at this factor
    rather than those that are fast on this computer; `folds` uses these of a trained folder, all where it is empty;
    `fit_to_scan` fits the compressed layers to what the original network makes of this very volume, which takes
    minutes the first time and keeps more of its accuracy.
    """

    model: str
    factor: float = 1.0
    device: str = "auto"
    engine: str = "auto"
    structures: tuple[str, ...] = ()
    exact_ranks: bool = False
    folds: tuple[int | str, ...] = ()
    fit_to_scan: bool = False

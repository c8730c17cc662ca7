"""What can be asked for, and what comes back; free of PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..volumes.volume import LabelMap


@dataclass(frozen=True)
class SegmentRequest:
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


@dataclass(frozen=True)
class Finished:
    """What a segmentation gave.

    `model` is its name and `policy` how it was compressed, by which `parameters_removed`, a share of the original's,
    went and `layers_kept` stayed as they were; `seconds` are by stage, `engine` is the one that ran, `peak_memory` the
    worker's in bytes, and `warnings` are sentences for the user. Of a task of several networks the last is described.
    """

    label_map: LabelMap
    model: str
    policy: Mapping[str, Any]
    parameters_removed: float
    layers_kept: int
    seconds: Mapping[str, float]
    cache_hit: bool
    engine: str
    peak_memory: int
    warnings: Sequence[str] = ()

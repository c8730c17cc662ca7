"""What a segmentation gives; free of PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..volumes.volume import LabelMap


@dataclass(frozen=True)
class Segmentation:
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

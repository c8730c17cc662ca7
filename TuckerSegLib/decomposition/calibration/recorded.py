"""A level made from what a calibration learnt about a network: at any ranks, within seconds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ...progress import Progress
from ..frontier import RanksByName
from ..network import Report
from ..policies import Settings
from ..tucker import Ranks
from .correction import Originals, build
from .record import CalibrationRecord


@dataclass(frozen=True)
class Calibration:
    """What is known of one network: its record, and what it gives on a few patches.

    `trained` holds weights of the level at the ranks that are asked for, where it was trained after it had been made;
    nothing else is needed then.
    """

    record: CalibrationRecord
    originals: Originals | None
    trained: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Recorded:
    """Chosen ranks, at which each layer is made from the calibration of the network that it belongs to.

    Attributes:
        ranks: of the layers that are decomposed.
        settings: how the ranks were chosen; equal settings give equal levels of equal networks.
        calibrated: gives the calibration of a network, whose folds have one each, for a level at these ranks.
    """

    ranks: RanksByName
    settings: Settings
    calibrated: Callable[[nn.Module, RanksByName, Progress], Calibration] = field(repr=False, compare=False)

    @property
    def keeps_all(self) -> bool:
        return not self.ranks

    def at(self, ranks: Mapping[str, Ranks]) -> "Recorded":
        return replace(self, ranks=ranks)

    def compress(
        self, network: nn.Module, patch: Sequence[int] | None = None, progress: Progress | None = None
    ) -> tuple[nn.Module, Report]:
        """As every `Policy`; the stage "calibrate" is told where the network has no calibration yet."""
        progress = progress or Progress()
        known = self.calibrated(network, self.ranks, progress)
        progress.stage("compress")
        small, report = build(network, known.record, self.ranks, known.originals, progress, patch)
        if known.trained is not None:
            _load(small, known.trained)
        return small, report


def _load(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights[name])

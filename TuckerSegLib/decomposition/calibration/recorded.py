"""A level made from what a calibration learnt about a network: at any ranks, within seconds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from ...progress import Progress
from ..network import Report
from ..policies import Settings
from ..tucker import Ranks
from .correction import Originals, build
from .record import CalibrationRecord


@dataclass(frozen=True)
class Calibration:
    """What is known of one network: its record, and what it gives on a few patches."""

    record: CalibrationRecord
    originals: Originals


@dataclass(frozen=True)
class Recorded:
    """Chosen ranks, at which each layer is made from the calibration of the network that it belongs to.

    Attributes:
        ranks: of the layers that are decomposed.
        settings: how the ranks were chosen; equal settings give equal levels of equal networks.
        calibrated: gives the calibration of a network, whose folds have one each.
    """

    ranks: Mapping[str, Ranks]
    settings: Settings
    calibrated: Callable[[nn.Module, Progress], Calibration] = field(repr=False, compare=False)

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
        known = self.calibrated(network, progress)
        progress.stage("compress")
        return build(network, known.record, self.ranks, known.originals, progress, patch)

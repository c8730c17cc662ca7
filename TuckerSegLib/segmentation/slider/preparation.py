"""A model prepared once for all positions of the slider: calibrated, its ranks chosen, its levels made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...decomposition.counting import convolutions
from ...decomposition.frontier import Position
from ...engines.fastest import Choice
from ...errors import InputError
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...progress import Progress
from ...volumes.sources import volumes_of
from .calibrations import Calibrations
from .positions import chosen_here


@dataclass(frozen=True)
class PreparedPositions:
    """The positions of the network called `model`, the original first; none where no engine's layers can be timed."""

    model: str
    layers: int
    positions: Sequence[Position]

    def as_json(self) -> dict[str, Any]:
        original = self.positions[0].seconds if self.positions else None
        return {
            "model": self.model,
            "positions": [
                {
                    "factor": one.factor,
                    "seconds": one.seconds,
                    "published_seconds": one.limit,
                    "times_faster": original and original / one.seconds,
                    "layers_whole": self.layers - len(one.ranks),
                }
                for one in self.positions
            ],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each position."""
        return [
            (
                f"{one['factor']:g}",
                f"{one['seconds']:.3f}",
                f"{one['published_seconds']:.3f}",
                f"{one['times_faster']:.1f}",
                f"{one['layers_whole']} of {self.layers}",
            )
            for one in self.as_json()["positions"]
        ]


def prepare_positions(
    model: TrainedModel,
    engines: Choice,
    cache: Cache,
    images: Sequence[str] = (),
    progress: Progress | None = None,
) -> PreparedPositions:
    """Calibrate `model` unless that was done, choose the ranks of every position here, and make their levels.

    What was done before, here or in an interrupted run, is not done again. `images`, files or folders, are what a
    calibration is gathered on that is not there yet; phantoms where there are none.

    Raises:
        InputError: no phantom is of the model's kind and no image is named, or one cannot be read, or the model is
            compressed already.
        Cancelled: `progress` was cancelled.
    """
    progress = progress or Progress()
    if model.compression is not None:
        raise InputError(f"{model.name} is compressed already: prepare the model it was made from.")
    calibrations = Calibrations(model, cache, volumes_of(images))
    calibrations.gather(progress)
    layers = len(convolutions(model.network_without_data()))
    if not engines.has_layer_times:
        return PreparedPositions(model.name, layers, ())
    learnt = calibrations.learnt()
    found = chosen_here(model, learnt, engines, progress)
    for position in found[1:]:
        cache.compressed(model, calibrations.policy(position.factor, position.ranks, learnt), progress)
    return PreparedPositions(model.name, layers, found)

"""The two sides of a check: what a compressed network answered, and how the original one runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ..head import Head
from ..window.merged import Features
from ..window.sliding_window import Network


@dataclass(frozen=True)
class Answers:
    """What a network or several give for an image: the features (F, *spatial), and the head that takes them."""

    features: Features
    head: Head


@dataclass(frozen=True)
class Original:
    """How the original network runs, on the device and the grid of the compressed one: as in `SlidingWindow`.

    Attributes:
        networks: one a fold.
        head: takes the features of all folds; None where they give scores.
    """

    networks: Sequence[Network]
    head: Head | None = None

    def whole_head(self, model: TrainedModel) -> Head:
        outputs = model.label_manager.num_segmentation_heads
        return self.head or Head.mean([Head.none(outputs)] * len(self.networks))


Prepare = Callable[[Progress], Original]
"""Prepares the original network when it is first needed, if it is; the progress can stop it."""

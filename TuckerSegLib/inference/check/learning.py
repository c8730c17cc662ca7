"""How reliable a compressed network is, learnt where the original network's answer is known everywhere."""

from collections.abc import Sequence

import torch

from ...models.nnunet import TrainedModel
from ...progress import Progress
from ...volumes.volume import Volume
from ..head import Head
from ..predict import preprocessed
from ..sliding_window import Network, SlidingWindow
from .checking import Original
from .reliability import Reliability
from .sureness import label_count, labels_on_grid, sureness


def learnt(
    model: TrainedModel,
    networks: Sequence[Network],
    head: Head | None,
    original: Original,
    volumes: Sequence[Volume],
    *,
    device: torch.device,
    step: float = 0.75,
    progress: Progress | None = None,
) -> Reliability:
    """The reliability of a compressed network with these `networks` and this `head`, as in `predict`, on whole volumes.

    Two phantoms say most of it. Patches lie `step` of their size apart, further than when segmenting, to save time.

    Raises:
        InputError: the volumes' channels are not those the model needs.
        Cancelled: `progress` was cancelled; at the latest after a network's current call.
    """
    progress = progress or Progress()
    compressed = Original(networks, head)
    found = Reliability.unknown(label_count(model))
    for volume in volumes:
        data = preprocessed(model, volume)
        ours, theirs = (
            SlidingWindow(
                model, one.networks, device, progress, step, one.whole_head(model).features // len(one.networks)
            ).answers(data)
            for one in (compressed, original)
        )
        sure = sureness(ours, compressed.whole_head(model), model, progress)
        originals = labels_on_grid(theirs, original.whole_head(model), model)
        found = found + Reliability.of(sure, originals, label_count(model))
    return found

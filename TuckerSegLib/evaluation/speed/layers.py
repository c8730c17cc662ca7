"""Every layer alone: as PyTorch runs it by default, whole in the fused engine, and decomposed there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from ...decomposition.counting import convolutions, input_shapes
from ...decomposition.policies import Relative
from ...decomposition.tucker import Convolution, Ranks
from ...engines.layer_times import LayerTimes, alone, cropped
from ...engines.timing.stopwatch import shortest_seconds
from ...engines.tuned_ranks import tuned
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...progress import Progress
from ...store import Store
from .computer import computer


@dataclass(frozen=True)
class LayerTime:
    """A layer on an input (C, *spatial): seconds in plain PyTorch, dense, at the published ranks and at the chosen.

    `chosen` is None where the layer stays as it is.
    """

    name: str
    shape: tuple[int, ...]
    published: Ranks
    chosen: Ranks | None
    stock: float
    dense: float
    at_published: float
    at_chosen: float


def layers(model: TrainedModel, factor: float, progress: Progress | None = None) -> list[LayerTime]:
    """Time every convolution of the network, with the norm and the activation behind it, on cropped inputs.

    What the fused engine takes is read from the cache where this computer has measured it before.

    Raises:
        Cancelled: `progress` was cancelled, before the next layer.
    """
    progress = progress or Progress()
    times = LayerTimes(Store(Cache().folder))
    progress.stage("choosing ranks that are fast on this computer")
    policy = tuned(model, Relative(factor), times)
    network = model.network_without_data()
    found = convolutions(network)
    shapes = input_shapes(network, (model.num_input_channels, *model.patch_size))
    published, chosen = Relative(factor).choose(found), policy.choose(found)
    measured = []
    for number, (name, layer) in enumerate(found.items()):
        progress.part(number, len(found)).stage(name)
        shape, ranks = shapes[name], chosen.get(name)
        measured.append(
            LayerTime(
                name,
                cropped(shape),
                published[name],
                ranks,
                _stock(layer, shape),
                times.seconds(layer, shape, None),
                times.seconds(layer, shape, published[name]),
                times.seconds(layer, shape, ranks),
            )
        )
    return measured


def as_json(model: str, factor: float, found: Sequence[LayerTime]) -> dict[str, object]:
    return {"computer": computer(), "model": model, "factor": factor, "layers": [asdict(layer) for layer in found]}


def _stock(layer: Convolution, shape: tuple[int, ...]) -> float:
    network = alone(layer, None).requires_grad_(False)

    def run() -> None:
        with torch.inference_mode():
            network(plain)

    plain = torch.randn(1, *cropped(shape))
    run()
    return shortest_seconds([run])[0]

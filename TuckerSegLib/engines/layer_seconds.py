"""What each layer of a network takes on this computer at any ranks, from a few that are measured.

A layer in three parts takes a time that is nearly bilinear in its two ranks, as its multiply-adds are, but for one
thing: a processor works on several channels at once, and a rank between two multiples of those takes as long as the
next one. So multiples are measured, on a grid; what others take is interpolated, and the same up to the next multiple.
"""

import itertools
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from ..decomposition.budget import Seconds
from ..decomposition.counting import convolutions, input_shapes
from ..decomposition.spectra import Values
from ..decomposition.tucker import Convolution, Ranks
from ..models.nnunet import TrainedModel
from .layer_times import LayerTimes, cropped

_TOGETHER = 8
"""Channels that a processor works on at once."""


def layer_seconds(model: TrainedModel, times: LayerTimes) -> dict[str, Seconds]:
    """The seconds of every layer, for one patch of the model; what was not measured before is, which takes minutes.

    Whoever stops it loses one layer.
    """
    network = model.network_without_data()
    shapes = input_shapes(network, (model.num_input_channels, *model.patch_size))
    found = {}
    for name, layer in convolutions(network).items():
        found[name] = seconds_of(layer, shapes[name], times)
        times.keep()
    return found


def seconds_of(layer: Convolution, shape: tuple[int, ...], times: LayerTimes) -> Seconds:
    """The seconds of one layer on an input (C, *spatial), which may be timed in part."""
    parts = math.prod(shape) / math.prod(cropped(shape))
    nodes = _nodes(layer.out_channels), _nodes(layer.in_channels)
    times.measure(layer, shape, [None, *itertools.starmap(Ranks, itertools.product(*nodes))])
    measured = np.array([[times.seconds(layer, shape, Ranks(out, into)) for into in nodes[1]] for out in nodes[0]])
    return Seconds(parts * times.seconds(layer, shape, None), parts * _interpolated(measured, *nodes, layer))


def _nodes(channels: int) -> list[int]:
    """The lowest multiple, the one nearest above the half, and all channels."""
    return sorted({min(_TOGETHER, channels), _rounded_up(channels / 2, channels), channels})


def _rounded_up(rank: float, channels: int) -> int:
    return min(math.ceil(rank / _TOGETHER) * _TOGETHER, channels)


def _interpolated(measured: Values, outs: Sequence[int], intos: Sequence[int], layer: Convolution) -> Values:
    """(O, I) from what was measured at the nodes, along one axis after the other."""
    every = [
        [_rounded_up(rank + 1, count) for rank in range(count)] for count in (layer.out_channels, layer.in_channels)
    ]
    along_in = np.apply_along_axis(partial(np.interp, every[1], intos), 1, measured)
    both: Values = np.apply_along_axis(partial(np.interp, every[0], outs), 0, along_in)
    return both

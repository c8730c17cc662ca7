"""Ranks rounded up with channels that carry nothing: a GPU's units for products take channels in eights."""

import torch
from torch import nn

from ...decomposition.network import swap
from ...decomposition.tucker import Convolution, Ranks, TuckerConv

EIGHT = 8


def with_ranks_in_eights(network: nn.Module) -> nn.Module:
    """`network`, changed in place: the same function, at ranks that are multiples of eight or all channels."""
    swap(network, {layer: _padded(layer) for layer in network.modules() if isinstance(layer, TuckerConv)})
    return network


def _padded(layer: TuckerConv) -> TuckerConv:
    first, core, last = layer.first, layer.core, layer.last
    into, out = _up(first.out_channels, first.in_channels), _up(last.in_channels, last.out_channels)
    if (into, out) == (first.out_channels, last.in_channels):
        return layer
    padded = TuckerConv.like(_whole(layer), Ranks(out, into)).to_empty(device=core.weight.device)
    with torch.no_grad():
        for target, source in ((padded.first, first), (padded.core, core), (padded.last, last)):
            target.weight.zero_()
            target.weight[tuple(slice(size) for size in source.weight.shape)] = source.weight
        if padded.last.bias is not None and last.bias is not None:
            padded.last.bias.copy_(last.bias)
    return padded.requires_grad_(False)


def _whole(layer: TuckerConv) -> Convolution:
    """The convolution that was decomposed, without memory for its weights."""
    core = layer.core
    options = {name: getattr(core, name) for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    if isinstance(core, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        options["output_padding"] = core.output_padding
    bias = layer.last.bias is not None
    shell = type(core)(layer.first.in_channels, layer.last.out_channels, bias=bias, device="meta", **options)
    return shell.train(layer.training)


def _up(rank: int, channels: int) -> int:
    return min(-(-rank // EIGHT) * EIGHT, max(channels, rank))

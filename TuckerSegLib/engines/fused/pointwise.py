"""Pointwise convolutions as the matrix products that they are: recognised, made, composed, and applied to rows."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ...decomposition.tucker import Convolution

_KINDS = (nn.Conv2d, nn.Conv3d)


class Matrix:
    """A pointwise convolution as a matrix product; of None, what leaves the `channels` as they are.

    `terms` are its matrix (channels, width) and its bias (width,), None where there is nothing to do.
    """

    def __init__(self, layer: Convolution | None, channels: int) -> None:
        self.width = layer.out_channels if layer else channels
        self.terms = (layer.weight.detach().flatten(1).T.contiguous(), bias_of(layer)) if layer else None

    def into(self, x: Tensor, answer: Tensor) -> None:
        """(voxels, channels) to (voxels, width)."""
        if self.terms is None:
            answer.copy_(x)
        else:
            weight, bias = self.terms
            torch.addmm(bias, x, weight, out=answer)


def is_pointwise(module: Any) -> bool:
    return (
        isinstance(module, _KINDS)
        and module.groups == 1
        and all(size == 1 for size in (*module.kernel_size, *module.stride))
        and not any(module.padding)
    )


def pointwise(like: Convolution, weight: Tensor, bias: Tensor | None) -> Convolution:
    """One with this weight (outputs, inputs, *ones), for as many dimensions as `like` has."""
    return filled(type(like)(weight.shape[1], weight.shape[0], 1, bias=False, device="meta"), weight, bias)


def filled(layer: Convolution, weight: Tensor, bias: Tensor | None) -> Convolution:
    """`layer`, made without a bias, with these for its own, in single precision."""
    layer.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().float(), requires_grad=False)
    return layer


def composed(inner: Convolution, outer: Convolution) -> Convolution:
    """Both pointwise, one after the other."""
    left, right = outer.weight.detach().flatten(1).double(), inner.weight.detach().flatten(1).double()
    weight = (left @ right).reshape(len(left), right.shape[1], *outer.weight.shape[2:])
    return pointwise(outer, weight, _bias_of_both(inner, outer))


def is_identity(module: Any) -> bool:
    """Whether it is a pointwise convolution that gives what it takes, but for its bias."""
    if not is_pointwise(module) or module.in_channels != module.out_channels:
        return False
    return torch.equal(module.weight.detach().flatten(1), torch.eye(module.out_channels))


def followed_by_identity(inner: Convolution, outer: Convolution) -> Convolution:
    """`inner`, of any kernel, with the bias that it has after `outer`, whose weight is the identity."""
    bias = _bias_of_both(inner, outer)
    layer = copy.copy(inner)
    layer._parameters = dict(inner._parameters)
    layer.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)
    return layer


def without_bias(layer: Any) -> Any:
    """`layer`, of any kernel, that adds nothing; its weight is shared."""
    bare = copy.copy(layer)
    bare._parameters = {**layer._parameters, "bias": None}
    return bare


def composed_with_transposed(inner: Any, outer: Convolution) -> Convolution:
    """A transposed convolution and the pointwise one after it."""
    factor = outer.weight.detach().flatten(1).double()
    weight = torch.einsum("po,io...->ip...", factor, inner.weight.detach().double())
    layer = type(inner)(*weight.shape[:2], inner.kernel_size, inner.stride, bias=False, device="meta")
    return filled(layer, weight, _bias_of_both(inner, outer))


def bias_of(layer: Convolution) -> Tensor:
    """Zeros where it has none."""
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()


def _bias_of_both(inner: Convolution, outer: Convolution) -> Tensor | None:
    """The bias of `outer`, pointwise, after `inner`, in double precision."""
    bias = None if outer.bias is None else outer.bias.detach().double()
    if inner.bias is None:
        return bias
    through = outer.weight.detach().flatten(1).double() @ inner.bias.detach().double()
    return through if bias is None else through + bias

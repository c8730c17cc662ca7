"""The last layer of a network, taken off: as it is pointwise and linear, it can wait until the patches are averaged.

A network of a hundred structures has a hundred outputs for each voxel, and makes them from a few dozen features. The
weighted mean of the features over patches, mirror images and folds, put through the layer once, is the mean of the
outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..decomposition.tucker import Convolution, TuckerConv, is_decomposable, kernel_of


@dataclass(frozen=True)
class Head:
    """A linear map from features to scores: `weight` (outputs, features), `bias` (outputs,), in single precision."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """The scores (voxels, outputs) of features (voxels, features)."""
        return torch.addmm(self.bias, features, self.weight.T)

    def of_columns(self, features: Tensor) -> Tensor:
        """The same with voxels along the second axis: (outputs, voxels) of (features, voxels)."""
        return torch.addmm(self.bias[:, None], self.weight, features)

    def output(self, index: int, features: Tensor) -> Tensor:
        """One output alone, (1, *any), of features (features, *any)."""
        scores: Tensor = torch.tensordot(self.weight[index : index + 1], features, 1) + self.bias[index]
        return scores

    @property
    def outputs(self) -> int:
        return len(self.weight)

    @property
    def features(self) -> int:
        return self.weight.shape[1]

    @classmethod
    def none(cls, outputs: int) -> "Head":
        """The head of a network that gives scores already."""
        return cls(torch.eye(outputs), torch.zeros(outputs))

    @classmethod
    def mean(cls, heads: Sequence["Head"]) -> "Head":
        """The head that gives the mean score of several networks, from their features one after the other."""
        weight = torch.cat([head.weight for head in heads], 1) / len(heads)
        return cls(weight, torch.stack([head.bias for head in heads]).mean(0))


def split(network: nn.Module) -> tuple[nn.Module, Head]:
    """The network with features for outputs, and its head; one after the other they do what `network` did.

    It is cut where it is narrowest: before its last convolution or, where that is decomposed, within it. `network`,
    which `TrainedModel.network` made, is changed and becomes the first of the two.
    """
    layers = network.get_submodule("decoder.seg_layers")
    assert isinstance(layers, nn.ModuleList)
    last = layers[-1]
    layers[-1], head = _cut(last)
    return network, head


def _cut(layer: nn.Module) -> tuple[nn.Module, Head]:
    if not isinstance(layer, TuckerConv):
        assert is_decomposable(layer)
        return nn.Identity(), _head(layer, _matrix(layer))
    first, core, last = (_matrix(part) for part in (layer.first, layer.core, layer.last))
    narrowest = min(first.shape[1], first.shape[0], core.shape[0])
    if narrowest == first.shape[1]:
        return nn.Identity(), _head(layer.last, last @ core @ first)
    if narrowest == first.shape[0]:
        return layer.first, _head(layer.last, last @ core)
    return nn.Sequential(layer.first, layer.core), _head(layer.last, last)


def _matrix(layer: Convolution) -> Tensor:
    return kernel_of(layer).flatten(1).float()


def _head(layer: Convolution, weight: Tensor) -> Head:
    """A head of this weight, with the bias of `layer`."""
    bias = layer.bias
    return Head(weight, torch.zeros(len(weight)) if bias is None else bias.detach().float())

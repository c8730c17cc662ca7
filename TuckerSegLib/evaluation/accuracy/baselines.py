"""Methods to compare with: pruned filters, 8-bit weights and the CP decomposition.

Each keeps the network's form and changes its weights, so that it gives the labels that the smaller network would give.
What that network would take is counted, in parameters and bytes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import tensorly
import torch
from tensorly.decomposition import parafac
from torch import Tensor, nn

from ...decomposition.counting import convolutions, count_parameters
from ...decomposition.network import reshape
from ...decomposition.policies import Relative, Settings
from ...decomposition.tucker import Convolution, kernel_of
from ...models.nnunet import TrainedModel, Weights

_FLOAT = 4
"""Bytes of a number in single precision."""


@dataclass(frozen=True)
class Reduced:
    """A model with the weights that its reduced form stands for, and what one fold takes in that form.

    `size` is in bytes.
    """

    model: TrainedModel
    parameters: int
    size: int

    @classmethod
    def whole(cls, model: TrainedModel) -> "Reduced":
        """A model whose every parameter is kept, in single precision."""
        parameters = count_parameters(model.network_without_data())
        return cls(model, parameters, parameters * _FLOAT)


@dataclass(frozen=True)
class Pruned:
    """The filters of smallest L1 norm removed, the same share in every layer, down to the parameters of `factor`.

    A filter that is removed leaves a channel of zeros, with its bias and normalisation. Every kernel that reads the
    channel, through skip connections too, loses those inputs, which are found by running the network. The head keeps
    its outputs. (Li et al., ICLR 2017; compared with by Weber et al., Radiology: AI 2025.)
    """

    factor: float
    name: ClassVar[str] = "l1"

    def reduced(self, model: TrainedModel) -> Reduced:
        low, high = 0.0, 1.0
        wanted = published_parameters(model, self.factor)
        first = next(_networks(model))
        for _ in range(10):
            middle = (low + high) / 2
            affordable = _remaining(_pruned(first, middle), model) <= wanted
            low, high = (middle, high) if affordable else (low, middle)
        folds = [_pruned(network, low) for network in _networks(model)]
        parameters = _remaining(folds[0], model)
        return Reduced(_with(model, self.settings, folds), parameters, parameters * _FLOAT)

    @property
    def settings(self) -> Settings:
        return {"policy": self.name, **asdict(self)}


@dataclass(frozen=True)
class EightBit:
    """Every kernel in 8-bit integers with one scale for each output channel; everything else stays as it is.

    Weights are rounded to the nearest of 255 symmetric values. As the arithmetic stays in 32 bits, only the loss of the
    weights is seen.
    (Krishnamoorthi, arXiv 1806.08342, 2018, section 3.1.)
    """

    name: ClassVar[str] = "8-bit"

    def reduced(self, model: TrainedModel) -> Reduced:
        folds = [_each_kernel(network, _rounded) for network in _networks(model)]
        parameters, layers = count_parameters(folds[0]), convolutions(folds[0]).values()
        kernels = sum(layer.weight.numel() for layer in layers)
        scales = sum(layer.out_channels for layer in layers)
        return Reduced(
            _with(model, self.settings, folds), parameters, kernels + (parameters - kernels + scales) * _FLOAT
        )

    @property
    def settings(self) -> Settings:
        return {"policy": self.name}


@dataclass(frozen=True)
class Canonical:
    """Every kernel as a sum of R products of an output vector, an input vector and a spatial kernel (CP).

    R is the largest at which a layer takes no more parameters than in the published Tucker form at `factor`. The
    products are found by alternating least squares in at most `iterations`, from a random start. (Lebedev et al., ICLR
    2015, with the spatial axes as one; tensorly's `parafac`.)
    """

    factor: float
    iterations: int = 25
    seed: int = 0
    name: ClassVar[str] = "cp"

    def reduced(self, model: TrainedModel) -> Reduced:
        folds, parameters = [], 0
        for network in _networks(model):
            ranks = Relative(self.factor).choose(convolutions(network))
            terms = {layer: self._number(layer, *ranks[name]) for name, layer in convolutions(network).items()}
            saved = sum(layer.weight.numel() - number * _term(layer) for layer, number in terms.items())
            parameters = count_parameters(network) - saved
            sums = {layer: self._sum(layer, number) for layer, number in terms.items()}
            folds.append(_each_kernel(network, sums.__getitem__))
        return Reduced(_with(model, self.settings, folds), parameters, parameters * _FLOAT)

    @property
    def settings(self) -> Settings:
        return {"policy": self.name, **asdict(self)}

    def _number(self, layer: Convolution, out: int, into: int) -> int:
        voxels = math.prod(layer.kernel_size)
        tucker = layer.in_channels * into + out * into * voxels + layer.out_channels * out
        return max(1, tucker // _term(layer))

    def _sum(self, layer: Convolution, rank: int) -> Tensor:
        kernel = kernel_of(layer)
        with tensorly.backend_context("pytorch", local_threadsafe=True):
            found = parafac(
                kernel.flatten(2).double(), rank, n_iter_max=self.iterations, init="random", random_state=self.seed
            )
            whole: Tensor = tensorly.cp_to_tensor(found)
        return whole.reshape(kernel.shape)


def published_parameters(model: TrainedModel, factor: float) -> int:
    """The parameters of the published Tucker form."""
    network = model.network_without_data()
    return count_parameters(reshape(network, Relative(factor).choose(convolutions(network))))


def _term(layer: Convolution) -> int:
    return layer.in_channels + layer.out_channels + math.prod(layer.kernel_size)


def _networks(model: TrainedModel) -> Iterator[nn.Module]:
    return map(model.with_weights, model.load_weights())


def _with(model: TrainedModel, settings: Settings, folds: list[nn.Module]) -> TrainedModel:
    weights: list[Weights] = [network.state_dict() for network in folds]
    return replace(model, fingerprint=f"{model.fingerprint} {settings}", load_weights=lambda: weights)


def _each_kernel(network: nn.Module, change: Callable[[Convolution], Tensor]) -> nn.Module:
    changed = copy.deepcopy(network)
    for layer, original in zip(convolutions(changed).values(), convolutions(network).values(), strict=True):
        kernel_of(layer).copy_(change(original))
    return changed


def _rounded(layer: Convolution) -> Tensor:
    rows = kernel_of(layer).flatten(1)
    scale = rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny) / 127
    return ((rows / scale).round() * scale).reshape(kernel_of(layer).shape)


def _pruned(network: nn.Module, share: float) -> nn.Module:
    """The network with `share` of the filters, but one at least, of each layer but the head, which comes last."""
    pruned = copy.deepcopy(network)
    layers = list(convolutions(pruned).values())
    norms = _norms_after(pruned)
    for layer in layers[:-1]:
        norm = kernel_of(layer).flatten(1).abs().sum(1)
        out = norm.argsort()[: len(norm) - max(1, round(share * len(norm)))]
        for parameter in (kernel_of(layer), layer.bias, *norms.get(layer, ())):
            if parameter is not None:
                parameter[out] = 0
    return pruned


def _norms_after(network: nn.Module) -> dict[nn.Module, tuple[Tensor | None, Tensor | None]]:
    """Scale and shift of the normalisation that follows a convolution in the same block, by convolution."""
    found: dict[nn.Module, tuple[Tensor | None, Tensor | None]] = {}
    for block in network.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "norm", None)
        if isinstance(conv, nn.Module) and isinstance(norm, nn.Module):
            found[conv] = norm.weight, norm.bias  # type: ignore[assignment]
    return found


def _remaining(network: nn.Module, model: TrainedModel) -> int:
    """The parameters without filters of zeros and without the inputs that are zero whatever the image."""
    counts: list[int] = []
    norms = _norms_after(network)

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        kernel = kernel_of(layer)  # type: ignore[arg-type]
        into = int(inputs[0].movedim(1, 0).flatten(1).any(1).sum())
        out = int(kernel.flatten(1).any(1).sum())
        vectors = [layer.bias, *norms.get(layer, ())]
        each = sum(vector is not None for vector in vectors)
        counts.append(out * (into * kernel[0, 0].numel() + each))

    handles = [layer.register_forward_hook(hook) for layer in convolutions(network).values()]
    sizes = [min(size, 64) for size in model.patch_size]
    network(torch.randn(1, model.num_input_channels, *sizes, generator=torch.Generator().manual_seed(0)))
    for handle in handles:
        handle.remove()
    return sum(counts)

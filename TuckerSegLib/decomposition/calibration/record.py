"""What one calibration learns about a network, from which it is made at any ranks: statistics alone, no images.

Of each layer it holds how its inputs are mixed in the order of their importance (the basis F of `layer`, of full rank,
so that the first R_in rows are the *first* of every rank: bases are nested), how errors of its outputs count in the
network's answer, and how much of the answer is lost at which ranks. A layer is made from these and its own kernel in
milliseconds; what the layers before it, compressed, really feed it is made up for by `correction`.

The file is in safetensors' format: about a sixth of the network's own size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import ModelError
from ...volumes.output import whole_file
from ..spectra import Values
from ..tucker import Convolution, Factors, Ranks, TuckerConv, kernel_of

FORMAT = "tuckerseg calibration 1"
"""Changes whenever files written before can no longer be used, or should be gathered anew."""


@dataclass(frozen=True)
class LayerRecord:
    """What is known of one layer with I inputs and O outputs, in single precision.

    `basis` (I, I): row r mixes the inputs to the r-th most important one; the mixed inputs are uncorrelated, with
    variance 1. `mean` (I,) is the inputs'. `root` (O, O): an error d of the outputs counts by |root d|^2. `spread`
    (O, O) is the outputs' covariance. `errors` (O, I): what the network's answer loses at each pair of ranks.
    """

    basis: Tensor
    mean: Tensor
    root: Tensor
    spread: Tensor
    errors: Tensor

    def first(self, rank: int) -> Tensor:
        """F (R_in, I): what *first* is at this rank."""
        return self.basis[:rank].double()

    def projected(self, conv: Convolution, rank: int) -> Tensor:
        """(O, R_in K): the kernel that makes the most of the mixed inputs, as those left out are not correlated."""
        back = torch.linalg.inv(self.basis.double())[:, :rank]
        return torch.einsum("oi...,ir->or...", kernel_of(conv).double(), back).flatten(1)

    def layer(self, conv: Convolution, ranks: Ranks) -> TuckerConv:
        """`conv` at these ranks, on the inputs that it has in the original network."""
        first, whole = self.first(ranks.into), self.projected(conv, ranks.into)
        root = self.root.double()
        leading = torch.linalg.eigh(root @ self.spread.double() @ root.T).eigenvectors.flip(1)[:, : ranks.out]
        core, last = leading.T @ root @ whole, torch.linalg.solve(root, leading)
        layer = decomposed(conv, first, core, last)
        lost = (kernel_of(conv).double() - layer.kernel().double()).flatten(2).sum(2) @ self.mean.double()
        if conv.bias is not None and layer.last.bias is not None:
            layer.last.bias.data.add_(lost.to(conv.bias.dtype))
        return layer


@dataclass(frozen=True)
class CalibrationRecord:
    """The `LayerRecord` of each convolution by name; of those that can be looked at layer by layer."""

    layers: Mapping[str, LayerRecord]

    @property
    def errors(self) -> dict[str, Values]:
        """(O, I) of each layer: what the network's answer loses at each pair of ranks, comparable between layers."""
        return {name: layer.errors.double().numpy() for name, layer in self.layers.items()}

    def save(self, path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write to `path`, whole or not at all; `about` says what it belongs to, for `load` to check.

        Raises:
            OutputError: it cannot be written.
        """
        tensors = {
            f"{name}/{field.name}": getattr(layer, field.name).float().contiguous()
            for name, layer in self.layers.items()
            for field in fields(LayerRecord)
        }
        with whole_file(path) as partial:
            save_file(tensors, partial, {"format": FORMAT, **(about or {})})

    @classmethod
    def load(cls, path: Path, about: Mapping[str, str] | None = None) -> "CalibrationRecord":
        """Read what `save` wrote.

        Raises:
            ModelError: it cannot be read, or belongs to something else than `about` says.
        """
        try:
            if not path.is_file():
                raise FileNotFoundError("no ordinary file")
            with safe_open(path, "pt") as file:
                told = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} is no calibration record that can be read: prepare the model again.") from error
        if told.get("format") != FORMAT or any(told.get(key) != value for key, value in (about or {}).items()):
            raise ModelError(f"{path} was made for another model or by another version: prepare the model again.")
        names = dict.fromkeys(key.rpartition("/")[0] for key in tensors)
        try:
            layers = {
                name: LayerRecord(*(tensors[f"{name}/{field.name}"] for field in fields(LayerRecord))) for name in names
            }
        except KeyError as error:
            raise ModelError(f"{path} is incomplete: prepare the model again.") from error
        return cls(layers)

    def check(self, layers: Mapping[str, Convolution]) -> None:
        """
        Raises:
            ModelError: the record is not one of a network with these layers.
        """
        for name, record in self.layers.items():
            layer = layers.get(name)
            if layer is None or _shapes(record) != _shapes_of(layer):
                raise ModelError("The calibration record belongs to another network: prepare the model again.")
            if not all(bool(getattr(record, field.name).isfinite().all()) for field in fields(LayerRecord)):
                raise ModelError("The calibration record holds no finite numbers: prepare the model again.")


def _shapes(record: LayerRecord) -> list[tuple[int, ...]]:
    return [tuple(getattr(record, field.name).shape) for field in fields(LayerRecord)]


def _shapes_of(layer: Convolution) -> list[tuple[int, ...]]:
    """The shapes of what is known of a layer."""
    out, into = layer.out_channels, layer.in_channels
    return [(into, into), (into,), (out, out), (out, out), (out, into)]


def decomposed(conv: Convolution, first: Tensor, core: Tensor, last: Tensor, bias: Tensor | None = None) -> TuckerConv:
    """`conv` in three parts: *first* (R_in, I), *core* (R_out, R_in K), *last* (O, R_out), and its bias (O,) or own.

    Where all outputs are kept, *last* becomes part of the core, so that it is the identity, which engines leave out.
    """
    if len(core) == len(last):
        core, last = last @ core, torch.eye(len(last), dtype=last.dtype)
    layer = TuckerConv.like(conv, Ranks(len(core), len(first)))
    shape = (len(core), len(first), *kernel_of(conv).shape[2:])
    layer.load(Factors(core.reshape(shape), last, first.T), conv.bias if bias is None else bias)
    return layer


def falling(errors: Values) -> Values:
    """(O, I) with nothing that more ranks would make worse, as noise may have made it."""
    found: Values = np.minimum.accumulate(np.minimum.accumulate(errors, 0), 1)
    return found

"""A network at any ranks from its calibration record, corrected by what its compressed layers really feed each other.

The original runs once over a few patches, and what each convolution puts out at some voxels is kept (`Originals`). A
level is then made in one pass of those patches: each layer that is reached takes its *first* from the record, and its
*core* and *last* by the reduced-rank regression of `layer`, from what the layers before it, already compressed, give it
to what the original had there; drawn towards the record's own, so that a few thousand voxels are enough. Its ranks and
those of the layers before it may be any: a level takes seconds.
"""

import copy
import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...progress import Progress
from ..counting import convolutions, count_parameters, multiply_adds
from ..fast_passes import for_training, half_precision, in_order
from ..network import LayerReport, Report, swap
from ..tucker import Convolution, Ranks, TuckerConv, kernel_of
from .kernel_inputs import kernel_inputs, knows_inputs, rows_of, some_voxels
from .layer import ridge_regression
from .record import CalibrationRecord, LayerRecord, decomposed

RIDGE = 0.03
"""The pull towards the record's layer, in units of the mixed inputs' mean variance."""
_VOXELS = 4096
"""Voxels of each layer's output that are looked at, over all patches."""
_CPU = torch.device("cpu")


class Originals:
    """What the convolutions of `network` put out at some voxels of patches (N, C, *spatial), preprocessed.

    Runs the network once over each patch; serves every level that is made on these patches.

    Raises:
        ValueError: there is no patch.
    """

    def __init__(self, network: nn.Module, patches: Tensor, voxels: int = _VOXELS, seed: int = 0) -> None:
        if not len(patches):
            raise ValueError("a correction needs at least one patch")
        self.patches, self._seed = patches, seed
        self._each = math.ceil(voxels / len(patches))
        self._rows: dict[str, list[Tensor]] = {}
        copied = quick(network)
        for name, layer in convolutions(copied).items():
            layer.register_forward_hook(lambda _, inputs, output, name=name: self._watch(name, output))
        for patch in patches:
            run(copied, patch[None])

    def outputs(self, name: str) -> Tensor:
        """(N P, O) of one layer, in double precision: patch after patch at the `voxels`."""
        return torch.cat(self._rows[name]).double()

    def voxels(self, shape: Sequence[int]) -> Tensor:
        """The flat indices (P,) that are looked at in outputs of this shape."""
        return some_voxels(shape, self._each, self._seed)

    def _watch(self, name: str, output: Tensor) -> None:
        self._rows.setdefault(name, []).append(rows_of(output, self.voxels(output.shape[2:])).float())


def build(
    network: nn.Module,
    record: CalibrationRecord,
    ranks: Mapping[str, Ranks],
    originals: Originals | None = None,
    progress: Progress | None = None,
    patch: Sequence[int] | None = None,
) -> tuple[nn.Module, Report]:
    """`network`, which is left untouched, with each layer of `ranks` decomposed, and what that did.

    Without `originals` the layers are those of the record alone, which cost milliseconds and some accuracy. Equal
    records, ranks and originals give equal networks. `patch` (C, *spatial) is to count multiply-adds for.

    Raises:
        ModelError: the record is not this network's.
    """
    layers = convolutions(network)
    record.check(layers)
    made = {name: _Made(name, layers[name], ranks.get(name), record.layers.get(name), originals) for name in layers}
    if originals:
        _pass(network, made, originals, progress)
    small = copy.deepcopy(network)
    swap(small, {layer: made[name].result() for name, layer in convolutions(small).items()})
    reports = tuple(_report(name, layer, made[name]) for name, layer in layers.items())
    work = [patch and multiply_adds(one, patch) for one in (network, small)]
    return small.requires_grad_(False), Report(
        reports,
        count_parameters(network),
        count_parameters(small),
        sum(work[0].values()) if work[0] else None,
        sum(work[1].values()) if work[1] else None,
        work[1] or None,
    )


def quick(network: nn.Module, device: torch.device = _CPU) -> nn.Module:
    """A copy of `network` in the form that is fastest there, for passes whose numbers need few digits."""
    return for_training(copy.deepcopy(network).eval().requires_grad_(False), device)


def run(network: nn.Module, patches: Tensor) -> Tensor:
    """The answer of a `quick` network to patches on its device, in half precision where that is faster."""
    device = patches.device
    half = torch.autocast(device.type, torch.bfloat16, enabled=half_precision(device), cache_enabled=False)
    with torch.no_grad(), half:
        answer: Tensor = network(in_order(patches))
    return answer


def _pass(network: nn.Module, made: Mapping[str, "_Made"], originals: Originals, progress: Progress | None) -> None:
    """Make the layers in one run over all patches."""
    copied = quick(network)
    layers = convolutions(copied)
    for number, name in enumerate(layers):
        made[name].told = (progress, number + 1, len(layers)) if progress else None
    swap(copied, {layer: made[name] for name, layer in layers.items()})
    run(copied, originals.patches)


class _Made(nn.Module):
    """Stands in for a convolution until the run reaches it, and then becomes what takes its place."""

    def __init__(
        self, name: str, conv: Convolution, ranks: Ranks | None, record: LayerRecord | None, originals: Originals | None
    ) -> None:
        super().__init__()
        self._name, self._conv, self.ranks = name, [conv], ranks
        self._record, self._originals = record, originals
        self._layer: list[TuckerConv | Convolution] = []
        self._quick: list[nn.Module] = []
        self.told: tuple[Progress, int, int] | None = None
        self.seconds = 0.0

    def result(self) -> TuckerConv | Convolution:
        if not self._layer:
            self._layer.append(self._from_record())
        return self._layer[0]

    def forward(self, x: Tensor) -> Tensor:
        if not self._quick:
            start = time.perf_counter()
            with torch.autocast("cpu", enabled=False):
                self._layer.append(self._from_data(x.float()))
            self.seconds = time.perf_counter() - start
            self._quick.append(for_training(copy.deepcopy(self._layer[0]), _CPU))
            if self.told:
                progress, done, count = self.told
                progress.step(done, count)
        answer: Tensor = self._quick[0](x)
        return answer

    def _from_record(self) -> TuckerConv | Convolution:
        (conv,) = self._conv
        if self.ranks is None:
            return copy.deepcopy(conv)
        return self._record.layer(conv, self.ranks) if self._record else TuckerConv.from_conv(conv, self.ranks)

    def _from_data(self, x: Tensor) -> TuckerConv | Convolution:
        (conv,) = self._conv
        if self.ranks is None or self._record is None or not knows_inputs(conv):
            return self._from_record()
        assert self._originals is not None
        return corrected(conv, self.ranks, self._record, x, self._originals, self._name)


def corrected(
    conv: Convolution, ranks: Ranks, record: LayerRecord, x: Tensor, originals: Originals, name: str
) -> TuckerConv:
    """`conv` at these ranks, on inputs x (N, I, *spatial) that are not those it has in the original network."""
    first, prior = record.first(ranks.into), record.projected(conv, ranks.into)
    mixed = torch.einsum("ni...,ri->nr...", x, first.float())
    inputs = kernel_inputs(conv, mixed, originals.voxels(_shape_after(conv, x.shape[2:]))).double()
    outputs, root = originals.outputs(name), record.root.double()
    middle, centre = inputs.mean(0), outputs.mean(0)
    inputs, outputs = inputs - middle, outputs - centre
    whole = prior + ridge_regression(inputs.float(), (outputs - inputs @ prior.T).float(), RIDGE).double()
    answer = inputs @ whole.T @ root.T
    leading = torch.linalg.eigh(answer.T @ answer).eigenvectors.flip(1)[:, : ranks.out]
    core, last = leading.T @ root @ whole, torch.linalg.solve(root, leading)
    return decomposed(conv, first, core, last, centre - last @ (core @ middle))


def _shape_after(conv: Convolution, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the output for an input of this shape."""
    if isinstance(conv, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return tuple(size * stride for size, stride in zip(shape, conv.stride, strict=True))
    pads = [int(width) for width in conv.padding]
    sides = zip(shape, pads, conv.dilation, conv.kernel_size, conv.stride, strict=True)
    return tuple((size + 2 * pad - gap * (kernel - 1) - 1) // step + 1 for size, pad, gap, kernel, step in sides)


def _report(name: str, layer: Convolution, made: _Made) -> LayerReport:
    before = sum(p.numel() for p in layer.parameters())
    small, original = made.result(), kernel_of(layer).double()
    kernel = small.kernel() if isinstance(small, TuckerConv) else kernel_of(small)
    error = float((kernel.double() - original).norm() / original.norm())
    return LayerReport(name, made.ranks, before, sum(p.numel() for p in small.parameters()), error, made.seconds)

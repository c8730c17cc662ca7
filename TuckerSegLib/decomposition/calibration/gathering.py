"""The calibration record of a network, gathered once from a few patches: it serves every level.

1. `sensing`: each layer's covariances and what its errors do to the answer, which give the nested bases.
2. `lost`: what each layer would lose at which ranks, in one pass forward.
3. How much the network's answer really moves with some of these losses, one layer at a time. Where an error is not
   small, the answer moves by up to ten times what the Fisher information says, and not alike in all layers.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ...progress import Progress
from ..counting import convolutions
from ..fast_passes import for_training
from ..network import swap
from ..spectra import Values
from ..tucker import Convolution, Ranks, kernel_of
from .correction import Originals, corrected, quick, run
from .kernel_inputs import kernel_inputs, knows_inputs, rows_of, some_voxels
from .lost import Half, lost
from .record import CalibrationRecord, LayerRecord, falling
from .sensing import Sensed, sensed

PATCHES = 8
"""Patches that are looked at, at most: every voxel is a sample, so that more gain little."""
_VOXELS = 8192
"""Voxels of each layer's output that are looked at, over all patches."""
_WIDEST = 4096
"""Numbers of a layer's mixed inputs that are looked at around each voxel: the most important ones."""
_AT_ONCE = 1 << 28
"""Numbers that are added up for all layers at once, a gigabyte; layers beyond that are watched in further passes."""
_PARTS = (2, 4)
"""The layer at this part of its channels is tried in the network."""
_TRIED = 2
"""Patches that layers are tried on."""
_SCORES = 20_000
"""Voxels of an answer that are compared."""


def gather(network: nn.Module, patches: Tensor, progress: Progress | None = None, seed: int = 0) -> CalibrationRecord:
    """The record of `network` from patches (N, C, *spatial), preprocessed; the first `PATCHES` of them are looked at.

    Equal patches and seeds give equal records. Errors are the Kullback-Leibler divergence of the network's answer, in
    nats a voxel, that a layer alone brings about.

    Raises:
        ValueError: there are fewer than two patches.
    """
    if len(patches) < 2:
        raise ValueError("calibration needs at least two patches")
    patches = patches[:PATCHES]
    layers = {name: layer for name, layer in convolutions(network).items() if knows_inputs(layer)}
    groups = _groups(layers)
    steps = _Steps(progress, (1 + len(groups)) * len(patches) + len(layers))
    found = sensed(network, patches, seed, steps.step)
    records = {name: _started(layer, found[name]) for name, layer in layers.items()}
    shares: dict[str, Values] = {}
    for group in groups:
        shares |= _shares(network, group, records, found, patches, seed, steps)
    for name in layers:
        weight = float(found[name].scaled()[0].trace()) / 2 / math.prod(patches.shape[2:])
        error = weight * shares[name] / (1 - shares[name])
        records[name] = replace(records[name], errors=torch.from_numpy(error).float())
    return CalibrationRecord(_as_tried(network, layers, records, patches[:_TRIED], seed, steps))


class _Steps:
    """Counts the steps of all passes together."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._done = progress, count, 0

    def step(self) -> None:
        self._done += 1
        if self._progress:
            self._progress.step(min(self._done, self._count), self._count)


def _started(conv: Convolution, found: Sensed) -> LayerRecord:
    """All but the errors."""
    root, covariance = found.root(), found.inputs.covariance
    weighted = torch.tensordot(root, kernel_of(conv).double(), 1).movedim(1, 0).flatten(1)
    square = weighted @ weighted.T
    # A little of the identity, so that a dead input does no harm.
    square.diagonal().add_(1e-6 * square.trace() / len(square) + 1e-30)
    values, vectors = torch.linalg.eigh(square)
    dependence = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    importance, vectors = torch.linalg.eigh(dependence @ covariance @ dependence)
    least = float(importance[-1].clamp(min=1e-30)) * 1e-9
    basis = vectors.flip(1).T @ dependence / importance.flip(0).clamp(min=least).sqrt()[:, None]
    kept = (basis, found.inputs.mean, root, found.outputs.covariance, torch.zeros(conv.out_channels, conv.in_channels))
    return LayerRecord(*(tensor.float() for tensor in kept))


def _groups(layers: Mapping[str, Convolution]) -> list[dict[str, Convolution]]:
    """The layers that are watched in one pass forward, so that what is added up for them fits into memory."""
    groups: list[dict[str, Convolution]] = []
    left = 0
    for name, layer in layers.items():
        needed = 2 * (_rank(layer) * math.prod(layer.kernel_size)) ** 2
        if needed > left or not groups:
            groups.append({})
            left = _AT_ONCE
        groups[-1][name] = layer
        left -= needed
    return groups


def _rank(conv: Convolution) -> int:
    """Mixed inputs that are looked at."""
    return max(1, min(conv.in_channels, _WIDEST // math.prod(conv.kernel_size)))


def _shares(
    network: nn.Module,
    layers: Mapping[str, Convolution],
    records: Mapping[str, LayerRecord],
    found: Mapping[str, Sensed],
    patches: Tensor,
    seed: int,
    steps: _Steps,
) -> dict[str, Values]:
    """(O, I) of each layer: the share of its outputs that is lost."""
    watched = {name: _Watched(layers[name], records[name], found[name], len(patches), seed) for name in layers}
    copied = quick(network)
    for name, layer in convolutions(copied).items():
        if name in watched:
            layer.register_forward_hook(watched[name].watch)
    for patch in patches:
        run(copied, patch[None])
        steps.step()
    return {name: one.lost() for name, one in watched.items()}


class _Watched:
    """Adds up what goes into and comes out of one layer at some voxels, patch by patch."""

    def __init__(self, conv: Convolution, record: LayerRecord, found: Sensed, patches: int, seed: int) -> None:
        self._conv, self._record, self._found, self._seed = conv, record, found, seed
        self._each = math.ceil(_VOXELS / patches)
        self._voxels = math.prod(conv.kernel_size)
        self._rank = _rank(conv)
        self._halves = [Half(self._rank * self._voxels, conv.out_channels) for _ in range(2)]
        self._number = 0

    def watch(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weights = self._found.weights(self._number)
        chosen = some_voxels(output.shape[2:], self._each, self._seed + self._number)
        whole = tuple(weights.shape) == tuple(output.shape[2:])
        with torch.autocast("cpu", enabled=False):
            mixed = torch.einsum("ni...,ri->nr...", inputs[0].float(), self._record.basis[: self._rank])
            z = kernel_inputs(self._conv, mixed, chosen)
            y = rows_of(output, chosen).float()
        counts = weights.flatten()[chosen] if whole else torch.ones(len(chosen), dtype=torch.float64)
        self._halves[self._number % 2].add(z, y, counts)
        self._number += 1

    def lost(self) -> Values:
        prior = self._record.projected(self._conv, self._rank)
        root = self._record.root.double()
        found = lost(self._halves[0], self._halves[1], prior, root, self._voxels, self._conv.in_channels)
        self._halves.clear()
        return found


def _as_tried(
    network: nn.Module,
    layers: Mapping[str, Convolution],
    records: Mapping[str, LayerRecord],
    patches: Tensor,
    seed: int,
    steps: _Steps,
) -> dict[str, LayerRecord]:
    """The records with errors that agree with what a layer, decomposed alone, does to the network's answer."""
    originals, copied = Originals(network, patches, seed=seed), quick(network)
    before = _answers(copied, patches)
    found = {}
    for name, conv in convolutions(copied).items():
        if name not in layers:
            continue
        errors = records[name].errors.double().numpy()
        pairs = []
        for part in _PARTS:
            ranks = Ranks(math.ceil(conv.out_channels / part), math.ceil(conv.in_channels / part))
            trial = _Trial(layers[name], ranks, records[name], originals, name)
            swap(copied, {conv: trial})
            moved = _divergence(before, _answers(copied, patches))
            swap(copied, {trial: conv})
            pairs.append((errors[ranks.out - 1, ranks.into - 1], moved))
        found[name] = replace(records[name], errors=torch.from_numpy(_through(errors, pairs)).float())
        steps.step()
    return found


class _Trial(nn.Module):
    """A layer decomposed alone, fitted to the first inputs that it is given."""

    def __init__(self, conv: Convolution, ranks: Ranks, record: LayerRecord, originals: Originals, name: str) -> None:
        super().__init__()
        self._how = (conv, ranks, record), (originals, name)
        self._made: list[nn.Module] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self._made:
            (conv, ranks, record), (originals, name) = self._how
            with torch.autocast("cpu", enabled=False):
                layer = corrected(conv, ranks, record, x.float(), originals, name)
            self._made.append(for_training(layer, torch.device("cpu")))
        answer: Tensor = self._made[0](x)
        return answer


def _answers(network: nn.Module, patches: Tensor) -> list[Tensor]:
    """Logarithms of probabilities, (voxels, outputs), of some voxels of each patch."""
    every = max(1, math.prod(patches.shape[2:]) // _SCORES)
    return [scores.flatten(1)[:, ::every].T.float().log_softmax(1) for scores in run(network, patches)]


def _divergence(before: list[Tensor], after: list[Tensor]) -> float:
    """KL(before || after), mean over voxels."""
    found = [float((p.exp() * (p - q)).sum(1).mean()) for p, q in zip(before, after, strict=True)]
    return sum(found) / len(found)


def _through(errors: Values, pairs: list[tuple[float, float]]) -> Values:
    """The errors, each multiplied so that those of `pairs`, predicted and measured, agree; in logarithms in between."""
    known = sorted((max(predicted, 1e-12), max(measured, 1e-9)) for predicted, measured in pairs)
    predicted, measured = np.log(np.array(known)).T
    ratios = np.maximum.accumulate(measured - predicted)  # a large error never counts less than a small one
    factor = np.exp(np.interp(np.log(np.maximum(errors, 1e-12)), predicted, ratios))
    return falling(errors * factor)

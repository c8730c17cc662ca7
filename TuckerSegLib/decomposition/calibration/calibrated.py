"""Every layer of a network, fitted in one run, and the rank policy that asks for it."""

import copy
import hashlib
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from ...progress import Progress
from ..counting import convolutions
from ..network import LayerReport, Report, report_of, swap
from ..policies import RankPolicy, Settings
from ..spectra import Values
from ..tucker import Convolution, Ranks, TuckerConv, kernel_of
from .kernel_inputs import rows_of, some_voxels, within
from .layer import Fit, Seen, fit_decomposed, fit_whole, root_of, samples
from .predicted_errors import predicted_errors
from .sensitivity import Sensitivity, sensitivities

_EVERY_CHANNEL = 0.1
"""The share of the mean sensitivity that each output channel has at least."""

_EVERY_VOXEL = 0.5
"""What each voxel's weight has at least, of the mean weight."""

_METHOD = 2
"""Changes with the method, so that levels which another one fitted are made anew."""


@dataclass(frozen=True)
class Calibrated:
    """A rank policy together with the patches that its layers are fitted on, (N, C, *patch): a policy of its own.

    `settings`, hence the name in the cache, hold a SHA-256 over the patches. Equal patches and settings give equal
    results.

    Raises:
        ValueError: there is no patch.
    """

    policy: RankPolicy
    patches: Tensor = field(repr=False, compare=False)
    fit: Fit = field(default_factory=Fit)

    def __post_init__(self) -> None:
        if not len(self.patches):
            raise ValueError("calibration needs at least one patch")

    @property
    def keeps_all(self) -> bool:
        return self.policy.keeps_all

    @property
    def settings(self) -> Settings:
        data = self.patches.contiguous()
        digest = hashlib.sha256(str(tuple(data.shape)).encode() + data.numpy().tobytes()).hexdigest()
        return {**self.policy.settings, "calibration": digest, "method": _METHOD, **asdict(self.fit)}

    def at(self, ranks: Mapping[str, Ranks]) -> "Calibrated":
        return replace(self, policy=self.policy.at(ranks))

    @torch.no_grad()
    def compress(
        self, network: nn.Module, patch: Sequence[int] | None = None, progress: Progress | None = None
    ) -> tuple[nn.Module, Report]:
        """As every `Policy`; the policy of ranks is offered the errors that the layers predict on the patches."""
        progress = progress or Progress()
        progress.stage("calibrate")
        small = copy.deepcopy(network).eval()
        layers = convolutions(small)
        seen = _observe(small, layers, self.patches, self.fit, progress)
        policy = self.policy.with_errors(lambda: _predicted(small, layers, seen, self.patches, self.fit))
        ranks = policy.choose(layers)
        progress.stage("compress")
        replaced = _fitted(small, layers, ranks, seen, self.patches, self.fit, progress) if ranks else {}
        reports = [_report(name, layer, replaced.get(layer)) for name, layer in layers.items()]
        return small, report_of(network, small, reports, patch)


def _observe(
    network: nn.Module, layers: Mapping[str, Convolution], patches: Tensor, fit: Fit, progress: Progress
) -> dict[nn.Module, Seen]:
    """Run the original network over the patches, one at a time."""
    sensitive = sensitivities(network, patches, fit.seed)
    watched = {layer: _Watched(layer, sensitive[name], len(patches), fit) for name, layer in layers.items()}
    handles = [layer.register_forward_hook(seen.watch) for layer, seen in watched.items()]
    for one in patches:
        progress.check()
        network(one[None])
    for handle in handles:
        handle.remove()
    return {layer: seen.found() for layer, seen in watched.items()}


class _Watched:
    """Keeps what one layer takes and gives at some voxels, patch by patch."""

    def __init__(self, layer: Convolution, sensitive: Sensitivity, patches: int, fit: Fit) -> None:
        self._sensitive, self._seed = sensitive, fit.seed
        self._each = math.ceil(samples(layer, fit) / patches)
        self._chosen = some_voxels(sensitive.voxels.shape[1:], self._each, fit.seed)
        self._voxels = self._chosen
        self._outputs: list[Tensor] = []
        self._inputs: list[Tensor] = []

    def watch(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        (x,) = inputs[:1]
        self._voxels = within(self._chosen, self._sensitive.voxels.shape[1:], output.shape[2:])
        self._outputs.append(rows_of(output, self._voxels))
        self._inputs.append(rows_of(x, some_voxels(x.shape[2:], self._each, self._seed)))

    def found(self) -> Seen:
        output = torch.cat(self._outputs)
        weights = _voxel_weights(self._sensitive.voxels.flatten(1)[:, self._chosen].flatten().double())
        return Seen(self._voxels, output, torch.cat(self._inputs), weights, _root(self._sensitive.metric, output))


def _voxel_weights(sensitive: Tensor) -> Tensor:
    """With mean 1; the few largest, which a draw of labels may have made so, are cut off."""
    cut = sensitive.clamp(max=float(sensitive.quantile(0.999)))
    weights = cut / cut.mean().clamp(min=1e-30) + _EVERY_VOXEL
    return weights / weights.mean()


def _root(metric: Tensor, output: Tensor) -> Tensor:
    """R (O, O) of `layer` from a metric and the outputs (rows, O) it is applied to."""
    deviation = output.double().std(0, correction=0)
    deviation = deviation.clamp(min=float(deviation.max()) * 1e-3 + 1e-12)
    scaled = deviation[:, None] * metric * deviation
    floor = float(scaled.trace()) / len(scaled) * _EVERY_CHANNEL + 1e-30
    return root_of(scaled + torch.eye(len(scaled)) * floor) / deviation


def _predicted(
    network: nn.Module,
    layers: Mapping[str, Convolution],
    seen: Mapping[nn.Module, Seen],
    patches: Tensor,
    fit: Fit,
) -> dict[str, Values]:
    """The `curves` of all layers, in one run of the original network over all patches."""
    errors: dict[str, Values] = {}

    def hook(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        errors[name] = predicted_errors(layers[name], inputs[0], seen[module], fit)

    handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in layers.items()]
    network(patches)
    for handle in handles:
        handle.remove()
    return errors


def _fitted(
    network: nn.Module,
    layers: Mapping[str, Convolution],
    ranks: Mapping[str, Ranks],
    seen: Mapping[nn.Module, Seen],
    patches: Tensor,
    fit: Fit,
    progress: Progress,
) -> dict[nn.Module, "_FittedConv"]:
    """Replace the layers in `network`, in one run over all patches."""
    done = itertools.count()

    def before() -> None:
        progress.step(next(done), len(layers))

    convs: dict[nn.Module, _FittedConv] = {
        layer: _FittedConv(layer, ranks.get(name), seen[layer], fit, before) for name, layer in layers.items()
    }
    swap(network, convs)
    network(patches)
    swap(network, {fitter: fitter.result() for fitter in convs.values()})
    return convs


class _FittedConv(nn.Module):
    """Stands in for a convolution until the run reaches it, and then becomes its replacement."""

    def __init__(
        self, conv: Convolution, ranks: Ranks | None, seen: Seen, fit: Fit, before: Callable[[], None]
    ) -> None:
        super().__init__()
        self._conv, self._ranks, self._seen, self._fit, self._before = [conv], ranks, seen, fit, before
        self._layer: TuckerConv | Convolution | None = None
        self.seconds = 0.0

    def result(self) -> TuckerConv | Convolution:
        assert self._layer is not None, "the network did not use a layer"
        return self._layer

    def forward(self, x: Tensor) -> Tensor:
        if self._layer is None:
            self._before()
            start = time.perf_counter()
            self._layer = self._fitted_to(x)
            self.seconds = time.perf_counter() - start
        out: Tensor = self._layer(x)
        return out

    def _fitted_to(self, x: Tensor) -> TuckerConv | Convolution:
        (conv,) = self._conv
        if self._ranks is None:
            return fit_whole(conv, x, self._seen, self._fit)
        return fit_decomposed(conv, self._ranks, x, self._seen, self._fit)


def _report(name: str, layer: Convolution, fitted: _FittedConv | None) -> LayerReport:
    before = sum(p.numel() for p in layer.parameters())
    if fitted is None:
        return LayerReport(name, None, before, before, 0.0, 0.0)
    small, original = fitted.result(), kernel_of(layer).double()
    kernel = small.kernel() if isinstance(small, TuckerConv) else kernel_of(small)
    error = float((kernel.double() - original).norm() / original.norm())
    ranks = Ranks(small.last.in_channels, small.first.out_channels) if isinstance(small, TuckerConv) else None
    return LayerReport(name, ranks, before, sum(p.numel() for p in small.parameters()), error, fitted.seconds)

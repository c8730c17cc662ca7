"""A decomposition that looks at data: every layer is fitted to what the original network gives, without labels.

The original network runs over a few patches and what each convolution puts out at some voxels is kept. Then the patches
run through the network once more, and each convolution is replaced when the run reaches it, so that it is fitted on
what the layers before it, already compressed, really feed it. Errors d of an output count by d' R' R d, R' R the
output's `sensitivity.metrics`, with a tenth of the mean of all channels, each scaled to unit variance, in every one.

*first* starts with the inputs that the kernel's outputs depend on most. With Sigma the covariance of the input and
M = sum over taps of W_k' R' R W_k, the F of rank R_in that loses least of E ||R W (x - G F x)||^2, taps taken one by
one, is F = U' M^(1/2), U the leading eigenvectors of M^(1/2) Sigma M^(1/2), and G = Sigma F' (F Sigma F')^-1.

*core* and *last* together are a linear map A of rank R_out from the taps z of F x to the original output y:
reduced-rank regression (Izenman, J. Multivariate Anal. 5, 1975; for layers of networks Zhang et al., IEEE TPAMI 38,
2016, section 3.2, whose asymmetric form this is). The full-rank A is a ridge regression drawn towards the original
kernel with its inputs projected, A0 = W G; its closest map of rank R_out on the data comes from the leading
eigenvectors of R A Cov(z) A' R'; the bias matches the means.

Then *first* is fitted to y with *core* and *last* held, which sees all taps at once: a linear least-squares problem,
taken some steps further by conjugate gradients (CGLS; Hestenes and Stiefel, J. Res. NBS 49, 1952); and *core* and
*last* again, alternating.

Instance normalisation after a layer takes out whatever is left of a channel's shift and scale, so its own terms stay.
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import sensitivity
from .compression import (
    LayerReport,
    Report,
    Step,
    convolutions,
    count_parameters,
    multiply_adds,
)
from .ranks import Budget, RankPolicy, Settings, Spectra, Values
from .tucker import Convolution, Factors, Ranks, TuckerConv, is_decomposable, kernel_of


@dataclass(frozen=True)
class Fit:
    """How the layers are fitted.

    `samples` voxels of each layer's output take part, over all patches, fewer where a layer has very many inputs;
    `ridge` is the pull towards the original kernel, in units of the inputs' mean variance; `rounds` is how often the
    three parts are fitted in turn after the first time; `seed` chooses the voxels.
    """

    samples: int = 8192
    ridge: float = 0.03
    rounds: int = 2
    seed: int = 0


_STEPS = 8
"""Of conjugate gradients in each round: later ones gain little, and fit the samples rather than the layer."""
_NUMBERS = 2**26
"""That the inputs of a layer's samples may be at most: a quarter of a gigabyte."""
_EVERY_CHANNEL = 0.1
"""The share of the mean sensitivity that each output channel has at least."""


@dataclass(frozen=True)
class Calibrated:
    """A rank policy together with the patches that its layers are fitted on, (N, C, *patch): a policy of its own.

    `settings`, hence the name in the cache, hold a SHA-256 over the patches.
    """

    policy: RankPolicy
    patches: Tensor = field(repr=False, compare=False)
    fit: Fit = field(default_factory=Fit)

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return self.policy.choose(layers)

    def compress(
        self, network: nn.Module, *, patch: Sequence[int] | None = None, step: Step | None = None
    ) -> tuple[nn.Module, Report]:
        return calibrate(network, self.policy, self.patches, fit=self.fit, patch=patch, step=step)

    def at(self, policy: RankPolicy) -> "Calibrated":
        """The same data for another policy."""
        return replace(self, policy=policy)

    @property
    def settings(self) -> Settings:
        data = self.patches.contiguous()
        digest = hashlib.sha256(str(tuple(data.shape)).encode() + data.numpy().tobytes()).hexdigest()
        return {**self.policy.settings, "calibration": digest, **asdict(self.fit)}


@torch.no_grad()
def calibrate(
    network: nn.Module,
    policy: RankPolicy,
    patches: Tensor,
    *,
    fit: Fit | None = None,
    patch: Sequence[int] | None = None,
    step: Step | None = None,
) -> tuple[nn.Module, Report]:
    """Compress `network` at the policy's ranks, each layer fitted on `patches` (N, C, *spatial), preprocessed.

    A `Budget` is given the spectra that the layers show on the patches, unless it has some. The rest is as in
    `compression.compress`; `network` is left untouched. Equal patches and settings give equal results.

    Raises:
        ValueError: there is no patch.
    """
    if not len(patches):
        raise ValueError("calibration needs at least one patch")
    fit = fit or Fit()
    network = copy.deepcopy(network).eval()
    layers = convolutions(network)
    before = count_parameters(network), patch and multiply_adds(network, patch)
    seen = _observe(network, layers, patches, fit)
    if isinstance(policy, Budget) and not policy.spectra:
        policy = replace(policy, spectra={name: _spectra(layer, seen[layer]) for name, layer in layers.items()})
    ranks = policy.choose(layers)
    replaced = _fitted(network, layers, ranks, seen, patches, fit, step) if ranks else {}
    reports = tuple(_report(name, layer, replaced.get(layer)) for name, layer in layers.items())
    work = patch and multiply_adds(network, patch)
    return network, Report(
        reports,
        before[0],
        count_parameters(network),
        sum(before[1].values()) if before[1] else None,
        sum(work.values()) if work else None,
        work or None,
    )


@dataclass
class _Seen:
    """Of one layer in the original network: `voxels` (P,), flat, its `output` there (N P, O), and `inputs` (rows, I).

    The inputs are at voxels of their own. `root` (O, O) is R of the module's text.
    """

    voxels: Tensor
    output: Tensor
    inputs: Tensor
    root: Tensor


def _observe(
    network: nn.Module, layers: Mapping[str, Convolution], patches: Tensor, fit: Fit
) -> dict[nn.Module, _Seen]:
    """Run the original network over the patches, one at a time."""
    parts: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {module: [] for module in layers.values()}
    voxels: dict[nn.Module, Tensor] = {}

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert is_decomposable(module)
        each = math.ceil(_samples(module, fit) / len(patches))
        voxels[module] = _some(output, each, fit.seed)
        parts[module].append((_rows(output, voxels[module]), _rows(inputs[0], _some(inputs[0], each, fit.seed))))

    handles = [module.register_forward_hook(hook) for module in layers.values()]
    for one in patches:
        network(one[None])
    for handle in handles:
        handle.remove()
    metrics = sensitivity.metrics(network, patches, fit.seed)
    seen: dict[nn.Module, _Seen] = {}
    for name, module in layers.items():
        output, inputs = (torch.cat(rows) for rows in zip(*parts[module], strict=True))
        seen[module] = _Seen(voxels[module], output, inputs, _weighing(metrics[name], output))
    return seen


def _samples(conv: Convolution, fit: Fit) -> int:
    return max(1, min(fit.samples, _NUMBERS // (conv.in_channels * math.prod(conv.kernel_size))))


def _weighing(metric: Tensor, output: Tensor) -> Tensor:
    """R (O, O) from a metric and the outputs (rows, O) it is applied to."""
    deviation = _deviation(output)
    scaled = deviation[:, None] * metric * deviation
    floor = float(scaled.trace()) / len(scaled) * _EVERY_CHANNEL + 1e-30
    return _root(scaled + torch.eye(len(scaled)) * floor) / deviation


def _some(x: Tensor, count: int, seed: int) -> Tensor:
    """Some voxels of (N, C, *spatial), by their flat index, in order."""
    voxels = math.prod(x.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(voxels, generator=generator)[:count].sort().values


def _rows(x: Tensor, voxels: Tensor) -> Tensor:
    """(N, C, *spatial) at some voxels, as (N P, C)."""
    return x.flatten(2)[:, :, voxels].movedim(1, 2).flatten(0, 1)


def _fitted(
    network: nn.Module,
    layers: Mapping[str, Convolution],
    ranks: Mapping[str, Ranks],
    seen: Mapping[nn.Module, _Seen],
    patches: Tensor,
    fit: Fit,
    step: Step | None,
) -> dict[nn.Module, "_FittedConv"]:
    """Replace the layers in `network`, in one run over all patches."""
    done = 0

    def after() -> None:
        nonlocal done
        done += 1
        if step:
            step(done, len(ranks))

    convs: dict[nn.Module, _FittedConv] = {}
    for name, pair in ranks.items():
        convs[layers[name]] = _FittedConv(layers[name], pair, seen[layers[name]], fit, after)
    _replace(network, convs)
    network(patches)
    _replace(network, {fitter: fitter.result() for fitter in convs.values()})
    return convs


def _replace(network: nn.Module, replaced: Mapping[nn.Module, nn.Module]) -> None:
    """Wherever a module is registered, whatever the number of places and names."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in replaced:
                parent._modules[name] = replaced[child]


class _FittedConv(nn.Module):
    """Stands in for a convolution until the run reaches it, and then becomes its replacement."""

    def __init__(self, conv: Convolution, ranks: Ranks, seen: _Seen, fit: Fit, after: Callable[[], None]) -> None:
        super().__init__()
        self._conv, self._ranks, self._seen, self._fit, self._after = [conv], ranks, seen, fit, after
        self._layer: TuckerConv | None = None
        self.seconds = 0.0

    def result(self) -> TuckerConv:
        assert self._layer is not None, "the network did not use a layer"
        return self._layer

    def forward(self, x: Tensor) -> Tensor:
        if self._layer is None:
            start = time.perf_counter()
            self._layer = _fit_conv(self._conv[0], self._ranks, x, self._seen, self._fit)
            self.seconds = time.perf_counter() - start
            self._after()
        out: Tensor = self._layer(x)
        return out


def _fit_conv(conv: Convolution, ranks: Ranks, x: Tensor, seen: _Seen, fit: Fit) -> TuckerConv:
    if not _has_taps(conv):
        return TuckerConv.from_conv(conv, ranks)
    layer = TuckerConv.like(conv, ranks)
    kernel = kernel_of(conv).double()
    some = _some(x, math.ceil(_samples(conv, fit) / len(x)), fit.seed)
    covariance = _covariance(_rows(x, some))
    around = _taps(conv, x, seen.voxels)
    around = around.reshape(len(around), conv.in_channels, -1)

    def solved(first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taps = torch.einsum("sik,ri->srk", around, first.to(x.dtype)).flatten(1)
        prior = torch.einsum("oi...,ir->or...", kernel, _back(first, covariance)).flatten(1)
        return _reduced_rank(taps, seen.output, prior, seen.root, ranks.out, fit.ridge)

    first = _subspace(kernel, seen.root, covariance, ranks.into)
    core, last, bias = solved(first)
    for _ in range(fit.rounds if ranks.into < conv.in_channels else 0):
        first = _refined(first, around, (seen.root @ last @ core).reshape(-1, ranks.into, around.shape[2]), seen)
        core, last, bias = solved(first)
    layer.load(Factors(core.reshape(*ranks, *kernel.shape[2:]), last, first.T), bias)
    return layer


def _refined(first: Tensor, around: Tensor, rest: Tensor, seen: _Seen) -> Tensor:
    """F (R_in, I), closer to the outputs: CGLS from F on, inputs (S, I, K), the layers after F (O, R_in, K)."""
    kind = around.dtype
    inputs, weights = around - around.mean(0), rest.to(kind).flatten(1)

    def forth(f: Tensor) -> Tensor:
        return torch.einsum("sik,ri->srk", inputs, f).flatten(1) @ weights.T

    def back(rows: Tensor) -> Tensor:
        return torch.einsum("srk,sik->ri", (rows @ weights).reshape(len(rows), *rest.shape[1:]), inputs)

    found = first.to(kind)
    missing = ((seen.output.double() - seen.output.double().mean(0)) @ seen.root.T).to(kind) - forth(found)
    slope = back(missing)
    direction, size = slope, slope.square().sum()
    for _ in range(_STEPS):
        ahead = forth(direction)
        length = size / ahead.square().sum().clamp(min=1e-30)
        found, missing = found + length * direction, missing - length * ahead
        slope, before = back(missing), size
        size = slope.square().sum()
        direction = slope + size / before.clamp(min=1e-30) * direction
    return found.double()


def _deviation(rows: Tensor) -> Tensor:
    deviation = rows.double().std(0, correction=0)
    return deviation.clamp(min=float(deviation.max()) * 1e-3 + 1e-12)


def _covariance(rows: Tensor) -> Tensor:
    centred = rows.double() - rows.double().mean(0)
    return centred.T @ centred / len(rows)


def _subspace(kernel: Tensor, root: Tensor, covariance: Tensor, rank: int) -> Tensor:
    """F (R_in, I) of the module's text, to start from."""
    dependence = _root(_dependence(kernel, root))
    _, vectors = torch.linalg.eigh(dependence @ covariance @ dependence)
    first: Tensor = vectors.flip(1)[:, :rank].T @ dependence
    return first


def _back(first: Tensor, covariance: Tensor) -> Tensor:
    """G (I, R_in) of the module's text."""
    inner = first @ covariance @ first.T
    inner += torch.eye(len(inner)) * (1e-8 * inner.trace() / len(inner) + 1e-30)
    back: Tensor = torch.linalg.solve(inner, first @ covariance).T
    return back


def _dependence(kernel: Tensor, root: Tensor) -> Tensor:
    """M (I, I), with a little of the identity, so that a dead input does no harm."""
    weighted = torch.tensordot(root, kernel, 1).movedim(1, 0).flatten(1)
    square: Tensor = weighted @ weighted.T
    square.diagonal().add_(1e-6 * square.trace() / len(square) + 1e-30)
    return square


def _root(square: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(square)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _reduced_rank(
    taps: Tensor, wanted: Tensor, prior: Tensor, root: Tensor, rank: int, ridge: float
) -> tuple[Tensor, Tensor, Tensor]:
    """*core* (R_out, R_in K), *last* (O, R_out) and bias (O,) from taps (S, R_in K) and the wanted outputs (S, O)."""
    middle, centre = taps.double().mean(0), wanted.double().mean(0)
    taps = taps.double() - middle
    residual = wanted.double() - centre - taps @ prior.T
    whole = prior + _ridge(taps, residual, ridge)
    answer = taps @ whole.T @ root.T
    _, vectors = torch.linalg.eigh(answer.T @ answer)
    leading = vectors.flip(1)[:, :rank]
    core, last = leading.T @ root @ whole, torch.linalg.solve(root, leading)
    return core, last, centre - last @ (core @ middle)


def _ridge(taps: Tensor, residual: Tensor, ridge: float) -> Tensor:
    """(O, R_in K): through the smaller of both Gram matrices."""
    pull = ridge * float(taps.square().sum()) / taps.shape[1] + 1e-30
    if taps.shape[1] <= len(taps):
        gram = taps.T @ taps
        gram.diagonal().add_(pull)
        primal: Tensor = torch.linalg.solve(gram, taps.T @ residual).T
        return primal
    gram = taps @ taps.T
    gram.diagonal().add_(pull)
    dual: Tensor = (taps.T @ torch.linalg.solve(gram, residual)).T
    return dual


def _has_taps(conv: Convolution) -> bool:
    """Whether `_taps` knows which inputs an output depends on."""
    if isinstance(conv, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        plain = not any(conv.padding) and not any(conv.output_padding)
        return tuple(conv.kernel_size) == tuple(conv.stride) and plain
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _taps(conv: Convolution, x: Tensor, voxels: Tensor) -> Tensor:
    """What each output voxel depends on: (N P, R K) from (N, R, *spatial), zero where it does not."""
    if isinstance(conv, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return _taps_up(conv, x, voxels)
    widths = [int(width) for width in conv.padding]
    padded = functional.pad(x, [side for width in reversed(widths) for side in (width, width)])
    sizes = zip(x.shape[2:], widths, conv.dilation, conv.kernel_size, conv.stride, strict=True)
    shape = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes]
    starts = _flat([at * s for at, s in zip(_unflat(voxels, shape), conv.stride, strict=True)], padded.shape[2:])
    offsets = torch.cartesian_prod(
        *(torch.arange(k) * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    ).reshape(-1, len(shape))
    where = starts[:, None] + _flat(list(offsets.T), padded.shape[2:])
    found = padded.flatten(2)[:, :, where]
    return found.movedim(1, 2).flatten(2).flatten(0, 1)


def _taps_up(conv: Convolution, x: Tensor, voxels: Tensor) -> Tensor:
    """Where kernel and stride are equal, an output depends on one input, through one tap."""
    shape = [n * s for n, s in zip(x.shape[2:], conv.stride, strict=True)]
    at = _unflat(voxels, shape)
    where = _flat([a // s for a, s in zip(at, conv.stride, strict=True)], x.shape[2:])
    tap = _flat([a % s for a, s in zip(at, conv.stride, strict=True)], conv.kernel_size)
    found = x.flatten(2)[:, :, where].movedim(1, 2)
    chosen = functional.one_hot(tap, math.prod(conv.kernel_size)).to(x.dtype)
    return torch.einsum("npr,pk->nprk", found, chosen).flatten(2).flatten(0, 1)


def _flat(indices: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    flat = torch.zeros_like(indices[0])
    for index, size in zip(indices, shape, strict=True):
        flat = flat * size + index
    return flat


def _unflat(flat: Tensor, shape: Sequence[int]) -> list[Tensor]:
    return list(torch.unravel_index(flat, tuple(shape)))


def _spectra(layer: Convolution, seen: _Seen) -> Spectra:
    """What each mode carries on the data, as shares of it: of the outputs, times R, and of the inputs as in *first*.

    The weight is what the answer would lose if the whole output were error.
    """
    out = seen.root @ _covariance(seen.output) @ seen.root.T
    dependence = _root(_dependence(kernel_of(layer).double(), seen.root))
    inputs = dependence @ _covariance(seen.inputs) @ dependence
    return Spectra(_shares(out), _shares(inputs), weight=float(out.trace()))


def _shares(square: Tensor) -> Values:
    values = torch.linalg.eigvalsh(square).flip(0).clamp(min=0)
    shares: Values = (values / values.sum().clamp(min=1e-30)).numpy()
    return shares


def _report(name: str, layer: Convolution, fitted: _FittedConv | None) -> LayerReport:
    before = sum(p.numel() for p in layer.parameters())
    if fitted is None:
        return LayerReport(name, None, before, before, 0.0, 0.0)
    small, kernel = fitted.result(), kernel_of(layer).double()
    error = float((small.kernel().double() - kernel).norm() / kernel.norm())
    ranks = Ranks(small.last.in_channels, small.first.out_channels)
    return LayerReport(name, ranks, before, sum(p.numel() for p in small.parameters()), error, fitted.seconds)

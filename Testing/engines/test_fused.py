"""The fused block, its kernels and the rewriting that makes it: the plain network's answers, at any shape."""

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.architectures import plain_unet
from torch import Tensor, nn

from TuckerSegLib.decomposition.counting import convolutions
from TuckerSegLib.decomposition.network import reshape
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.engines.fused import parallel
from TuckerSegLib.engines.fused.arithmetic import Arithmetic
from TuckerSegLib.engines.fused.compiled import kernels, llvm
from TuckerSegLib.engines.fused.compiled.arithmetic import Compiled
from TuckerSegLib.engines.fused.compiled.winograd import Winograd, suits_winograd
from TuckerSegLib.engines.fused.fused_block import FusedBlock, WideNorm, moments, spread
from TuckerSegLib.engines.fused.plain import Plain
from TuckerSegLib.engines.fused.rewriting import rewritten
from TuckerSegLib.engines.fused.sliced_block import SlicedBlock
from TuckerSegLib.engines.fused.upsampling import Upsampling, leaves_no_overlap

CLOSE = 1e-5
"""Relative error against double precision."""
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="this build of PyTorch has no oneDNN",
)
WAYS = [pytest.param(Compiled(), id="compiled"), pytest.param(Plain(), id="plain")]


def relative_error(answer: Tensor, expected: Tensor) -> float:
    return float(torch.linalg.vector_norm(answer - expected) / torch.linalg.vector_norm(expected).clamp(min=1e-30))


def norm_with_terms(channels: int) -> nn.InstanceNorm3d:
    norm = nn.InstanceNorm3d(channels, affine=True).requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    return norm


@pytest.mark.parametrize("by", WAYS)
@settings(max_examples=40, deadline=None)
@given(
    rank=st.integers(1, 40),
    channels=st.integers(1, 70),
    widths=st.lists(st.one_of(st.none(), st.integers(1, 50)), min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 7), st.integers(2, 8)),
    has_norm=st.booleans(),
    slope=st.sampled_from([0.0, 0.01, 0.2]),
    seed=st.integers(0, 99),
)
def test_a_block_is_its_layers_in_a_row(
    by: Arithmetic,
    rank: int,
    channels: int,
    widths: list[int | None],
    shape: tuple[int, int, int, int],
    has_norm: bool,
    slope: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    last = nn.Conv3d(rank, channels, 1).requires_grad_(False)
    norm = norm_with_terms(channels) if has_norm else None
    nexts = [nn.Conv3d(channels, width, 1).requires_grad_(False) if width else None for width in widths]
    batch, *spatial = shape
    z = torch.randn(batch, rank, *spatial) + 2

    answers = FusedBlock(last, norm, slope, nexts, by)(z)

    layers = [last, norm or nn.Identity(), nn.LeakyReLU(slope)]
    wide = copy.deepcopy(nn.Sequential(*layers)).double()(z.double())
    for consumer, answer in zip(nexts, answers, strict=True):
        expected = copy.deepcopy(consumer).double()(wide) if consumer else wide
        assert answer.shape == expected.shape
        # A norm over few voxels divides by a small deviation, which magnifies the rounding before it.
        assert relative_error(answer, expected) < (1e-3 if has_norm else CLOSE)


@needs_onednn
@pytest.mark.parametrize("by", WAYS)
@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 2), st.integers(1, 40)),
    widths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    kernel=st.sampled_from([(3, 3, 3), (1, 3, 3), (3, 1, 5), (2, 3, 3)]),
    stride=st.sampled_from([(1, 1, 1), (1, 2, 2)]),
    dilation=st.integers(1, 2),
    shape=st.tuples(st.integers(1, 3), st.integers(3, 40), st.integers(9, 14), st.integers(9, 12)),
    has_norm=st.booleans(),
    has_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_sliced_block_is_its_layers_in_a_row(
    by: Arithmetic,
    channels: tuple[int, int],
    widths: list[int],
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    dilation: int,
    shape: tuple[int, int, int, int],
    has_norm: bool,
    has_bias: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    into, wide = channels
    layer = nn.Conv3d(into, wide, kernel, stride, (1, 1, 2), (1, 1, dilation), bias=has_bias).requires_grad_(False)
    norm = norm_with_terms(wide) if has_norm else None
    consumers = [nn.Conv3d(wide, width, 1).requires_grad_(False) for width in widths]
    x = torch.randn(shape[0], into, *shape[1:]) + 3

    answers = SlicedBlock(layer, norm, 0.01, consumers, by)(x)

    (alone,) = SlicedBlock(layer, None, 1.0, [None], by)(x)
    assert relative_error(alone, copy.deepcopy(layer).double()(x.double())) < CLOSE
    plain = [copy.deepcopy(part).double() for part in (layer, *([norm] if norm else []), nn.LeakyReLU(0.01))]
    activation = nn.Sequential(*plain)(x.double())
    for answer, consumer in zip(answers, consumers, strict=True):
        assert relative_error(answer, copy.deepcopy(consumer).double()(activation)) < CLOSE


@needs_onednn
def test_the_first_layer_of_a_compressed_network_is_sliced_where_it_stays_whole() -> None:
    network = plain_unet((32, 40), 5)
    ranks = Relative(0.2).choose(convolutions(network))
    network = reshape(network, {name: two for name, two in ranks.items() if two.into > 1})
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    graph, patch = rewritten(network), torch.randn(2, 1, 16, 16, 16)

    assert any(isinstance(module, SlicedBlock) for module in graph.modules())
    with torch.no_grad():
        assert relative_error(graph(patch), copy.deepcopy(network).double()(patch.double())) < CLOSE


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("rank", [1, 8, 10, 33, 60])
def test_moments_keep_their_digits_far_from_zero(by: Arithmetic, rank: int) -> None:
    torch.manual_seed(0)
    z = torch.randn(30_001, rank) @ torch.randn(rank, rank) + 100

    mean, covariance = moments(z, by)

    exact = z.double()
    assert torch.allclose(mean, exact.mean(0), rtol=1e-6)
    assert relative_error(covariance, torch.cov(exact.T, correction=0).reshape(rank, rank)) < 1e-4


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("rank", [1, 10, 33, 60])
def test_statistics_keep_their_digits_where_most_voxels_are_equal(by: Arithmetic, rank: int) -> None:
    """As those of air are, around a patient: each is rounded the same way, so that errors add up."""
    torch.manual_seed(0)
    z = torch.randn(400_000, rank) @ torch.randn(rank, rank)
    z[torch.rand(len(z)) < 0.9] = 5 * torch.randn(rank)
    exact = z.double()
    expected = torch.cov(exact.T, correction=0).reshape(rank, rank)

    mean, covariance = moments(z, by)
    same_mean, variance = spread(z, by)

    for found in (mean, same_mean):
        assert relative_error(found, exact.mean(0)) < 1e-6
    assert relative_error(covariance, expected) < (CLOSE if isinstance(by, Compiled) else 5 * CLOSE)
    assert relative_error(variance, expected.diagonal()) < CLOSE


@pytest.mark.parametrize("by", WAYS)
def test_statistics_are_the_same_to_the_bit_whichever_tile_is_done_first(
    by: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    z = torch.randn(60_000, 12) * torch.logspace(-9, 9, 60_000)[:, None]
    expected = moments(z, by), spread(z, by)

    share = parallel.share

    def last_first(work: parallel.Work, count: int, most: int) -> None:
        share(lambda parts, rows: work(reversed(list(parts)), rows), count, most)

    monkeypatch.setattr(parallel, "share", last_first)
    again = moments(z, by), spread(z, by)

    for one, other in zip(expected, again, strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("in_place", [True, False])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.integers(1, 70),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 7), st.integers(2, 8)),
    slope=st.sampled_from([0.0, 0.01, 1.0]),
    far=st.sampled_from([0.0, 30.0]),
)
def test_a_wide_norm_is_the_norm_and_the_activation(
    by: Arithmetic, in_place: bool, channels: int, shape: tuple[int, int, int, int], slope: float, far: float
) -> None:
    norm = norm_with_terms(channels)
    batch, *spatial = shape
    x = torch.randn(batch, channels, *spatial) + far
    expected = nn.functional.leaky_relu(copy.deepcopy(norm).double()(x.double()), slope)
    before = x.clone()

    answer = WideNorm(norm, slope, in_place, by)(x)

    assert relative_error(answer, expected) < 1e-3
    assert in_place or torch.equal(x, before)


def test_a_wide_norm_keeps_its_digits_over_many_voxels() -> None:
    norm = norm_with_terms(5)
    x = torch.randn(1, 5, 60, 100, 100) + 3

    answer = WideNorm(norm, 0.01, in_place=False)(x)

    exact = nn.functional.leaky_relu(copy.deepcopy(norm).double()(x.double()), 0.01)
    assert relative_error(answer, exact) < CLOSE


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.1])
def test_a_rewritten_network_gives_the_same(factor: float) -> None:
    torch.manual_seed(0)
    network = plain_unet((16, 24, 20), 5)
    if factor < 1:
        network, _ = Relative(factor).compress(network)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm3d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    patches = torch.randn(2, 1, 12, 20, 8)

    with torch.no_grad():
        expected = copy.deepcopy(network).double()(patches.double())
        answer = rewritten(network)(patches.contiguous(memory_format=torch.channels_last_3d))

    assert relative_error(answer, expected) < CLOSE


@needs_onednn
def test_a_compressed_network_keeps_no_wide_activation() -> None:
    network, _ = Relative(0.2).compress(plain_unet((32, 40, 48), 5))
    graph = rewritten(network)
    widest = 0

    class Watched(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            nonlocal widest
            value = super().run_node(n)
            tensors = value if isinstance(value, tuple) else (value,)
            widest = max(widest, *(tensor.shape[1] for tensor in tensors))
            return value

    with torch.inference_mode():
        Watched(graph).run(torch.randn(1, 1, 16, 16, 16))

    assert widest < 32


def test_rewriting_leaves_the_network_as_it_was() -> None:
    network, _ = Relative(0.5).compress(plain_unet((16, 24), 3))
    patches = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        before = network(patches)
        rewritten(network)
        assert torch.equal(network(patches), before)


@pytest.fixture(
    params=[pytest.param({"avx2": True}, id="AVX2"), pytest.param({}, id="SSE"), pytest.param({"neon": True}, id="Arm")]
)
def narrower_processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels with the vectors and the registers of a processor that has less than this one; it can run them too."""

    def forget() -> None:
        llvm.lanes_of_a_vector.cache_clear()
        llvm.compiled.cache_clear()

    monkeypatch.setattr(llvm, "_features", lambda: request.param)
    monkeypatch.setattr("platform.machine", lambda: "arm64" if "neon" in request.param else "x86_64")
    forget()
    yield
    forget()


@pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")
@pytest.mark.usefixtures("narrower_processor")
def test_kernels_are_right_on_processors_with_narrower_vectors() -> None:
    torch.manual_seed(0)
    last, norm = nn.Conv3d(13, 37, 1).requires_grad_(False), norm_with_terms(37)
    consumer = nn.Conv3d(37, 11, 1).requires_grad_(False)
    z = torch.randn(1, 13, 7, 9, 11)
    wide = copy.deepcopy(nn.Sequential(last, norm, nn.LeakyReLU(0.1))).double()(z.double())

    narrow, whole = FusedBlock(last, norm, 0.1, [consumer, None])(z)

    assert relative_error(whole, wide) < CLOSE
    assert relative_error(narrow, copy.deepcopy(consumer).double()(wide)) < CLOSE
    layer = nn.Conv3d(13, 21, 3, padding=1).requires_grad_(False)
    assert relative_error(Winograd(layer)(z), copy.deepcopy(layer).double()(z.double())) < CLOSE


@pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 20), rank=st.integers(1, 20), channels=st.integers(1, 40), width=st.integers(1, 40))
def test_kernels_write_within_their_rows(rows: int, rank: int, channels: int, width: int) -> None:
    """What lies behind the answer's last row stays as it is."""
    around = torch.full((rows + 1, width), 7.0)
    kernel = kernels.BlockKernel(rank, channels, 0.01, (width,))
    weight, shift = torch.randn(rank, channels), torch.randn(channels)
    matrix, bias = torch.randn(channels, width), torch.randn(width)

    z = torch.randn(rows, rank)
    answer = (kernels.padded(matrix), kernels.padded(bias), around[:rows])
    kernel(z, kernels.padded(weight), kernels.padded(shift), [answer])

    expected = nn.functional.leaky_relu(z @ weight + shift, 0.01) @ matrix + bias
    assert torch.allclose(around[:rows], expected, rtol=1e-4, atol=1e-4)
    assert (around[rows] == 7).all()


def test_threads_that_start_later_keep_all_cores() -> None:
    torch.set_num_threads(2)
    z = torch.randn(1, 4, 20, 20, 20)
    FusedBlock(nn.Conv3d(4, 8, 1).requires_grad_(False), None, 0.01, [None])(z)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_on_macos_no_thread_is_told_how_many_cores_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its OpenMP library is reported to crash now and then where that is changed after the first parallel work."""
    told: list[int] = []
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    done: list[slice] = []

    parallel.share(lambda parts, _: done.extend(parts), 30, 10)
    Relative(0.5).compress(plain_unet((8, 16), 3))

    assert sorted(part.start for part in done) == [0, 10, 20] and not told


class _WaitsWhileTraced(nn.Module):
    """Has `meanwhile` run to its end in another thread, in the middle of its own run."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(2, 3, 3, padding=1)
        self._meanwhile = meanwhile

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as other:
            other.submit(self._meanwhile).result()
        out: Tensor = self.convolution(x)
        return out


def test_another_network_runs_on_while_one_is_rewritten() -> None:
    running, patch = plain_unet((8, 12), 3), torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected = running(patch)
    answers: list[Tensor] = []

    def run() -> None:
        with torch.no_grad():
            answers.append(running(patch))

    rewritten(_WaitsWhileTraced(run).eval())

    assert torch.equal(answers[0], expected)


def test_a_norm_with_statistics_of_its_own_uses_them() -> None:
    norm = nn.InstanceNorm3d(6, affine=True, track_running_stats=True)
    network = nn.Sequential(nn.Conv3d(4, 6, 1), norm, nn.LeakyReLU(0.1), nn.Conv3d(6, 3, 1)).requires_grad_(False)
    assert norm.running_mean is not None
    norm.running_mean.normal_()
    network.eval()
    patch = torch.randn(1, 4, 5, 6, 7)

    assert relative_error(rewritten(network)(patch), network(patch)) < CLOSE


@pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")
@pytest.mark.parametrize(
    ("channels", "outputs", "shape", "bias"),
    [
        (1, 5, (1, 1, 1, 1), True),
        (8, 8, (2, 5, 4, 7), False),
        (24, 20, (3, 7, 1, 11), True),
        (10, 70, (1, 1, 6, 8), True),
        (33, 48, (1, 4, 3, 29), False),
        (64, 16, (2, 9, 9, 16), True),
    ],
)
def test_winograds_algorithm_is_the_convolution(
    channels: int, outputs: int, shape: tuple[int, int, int, int], bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv3d(channels, outputs, 3, padding=1, bias=bias).requires_grad_(False)
    batch, *spatial = shape
    x = torch.randn(batch, channels, *spatial) + 1

    answer = Winograd(layer)(x)

    expected = copy.deepcopy(layer).double()(x.double())
    assert answer.shape == expected.shape and relative_error(answer, expected) < CLOSE


@pytest.mark.parametrize(
    "other",
    [{"stride": 2}, {"kernel_size": 1}, {"dilation": 2}, {"groups": 2}, {"padding": 0}, {"padding_mode": "reflect"}],
)
def test_winograds_algorithm_is_for_plain_convolutions_of_three_taps_only(other: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"kernel_size": 3, "padding": 1}

    assert suits_winograd(nn.Conv3d(16, 16, **plain)) is llvm.available()
    assert not suits_winograd(nn.Conv3d(16, 16, **{**plain, **other}))
    assert not suits_winograd(nn.Conv2d(16, 16, **plain))


@pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")
def test_load_does_not_decide_how_a_convolution_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers would differ in their last bits from day to day, and with them labels at borders of structures."""
    network = nn.Sequential(nn.Conv3d(16, 16, 3, padding=1)).requires_grad_(False)
    forward, x = Winograd.forward, torch.randn(1, 16, 9, 8, 10)
    expected = rewritten(network)(x)

    def held_up(self: Winograd, x: Tensor) -> Any:
        time.sleep(0.05)
        return forward(self, x)

    monkeypatch.setattr(Winograd, "forward", held_up)
    assert torch.equal(rewritten(network)(x), expected)


@pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")
def test_winograds_algorithm_needs_no_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch for Apple's processors comes without it, and it is there that its own convolutions are slowest."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.aten, "mkldnn_convolution", None)
    network = nn.Sequential(nn.Conv3d(16, 16, 3, padding=1), nn.Conv3d(16, 8, 3, padding=1)).requires_grad_(False)
    x = torch.randn(1, 16, 9, 8, 10)

    made = rewritten(network)

    assert sum(isinstance(module, Winograd) for module in made.modules()) == 2
    assert relative_error(made(x), copy.deepcopy(network).double()(x.double())) < CLOSE


@pytest.mark.parametrize("limit", ["AVX2", "DEFAULT"])
def test_kernels_use_no_more_of_the_processor_than_pytorch_was_told_to(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: limit)
    llvm._features.cache_clear()
    found = {name for name, there in llvm._features().items() if there}
    llvm._features.cache_clear()
    assert not [name for name in found if name.startswith(("avx512", "amx"))]
    assert limit == "AVX2" or not [name for name in found if name.startswith("avx")]


@pytest.mark.parametrize(
    ("machine", "features", "vectors"),
    [
        ("x86_64", {"avx512f": True, "avx2": True}, 16),
        ("x86_64", {"avx2": True}, 8),
        ("AMD64", {"sse2": True}, 8),
        ("arm64", {"neon": True}, 16),
        ("aarch64", {}, 16),
    ],
)
def test_sums_take_half_of_a_processors_registers(
    machine: str, features: dict[str, bool], vectors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(llvm, "_features", lambda: features)
    llvm.lanes_of_a_vector.cache_clear()
    try:
        assert llvm.registers() == vectors
    finally:
        llvm.lanes_of_a_vector.cache_clear()


@settings(max_examples=40, deadline=None)
@given(
    dimensions=st.sampled_from([2, 3]),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    data=st.data(),
    batch=st.integers(1, 3),
    has_bias=st.booleans(),
    added=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_way_up_is_its_transposed_convolution(
    dimensions: int,
    channels: tuple[int, int],
    data: st.DataObject,
    batch: int,
    has_bias: bool,
    added: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(dimensions))
    shape = [data.draw(st.integers(1, 9)) for _ in range(dimensions)]
    kind: Any = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
    layer = kind(*channels, kernel, kernel, bias=has_bias).requires_grad_(False)
    assert leaves_no_overlap(layer)
    x = torch.randn(batch, channels[0], *shape)
    expected = copy.deepcopy(layer).double()(x.double())
    onto = torch.randn(expected.shape) if added else None

    answer = Upsampling(layer)(x, None if onto is None else onto.clone())

    assert relative_error(answer, expected if onto is None else expected + onto) < CLOSE


def test_the_way_up_is_added_to_what_lies_beside_it() -> None:
    """So that a decoder's widest activations never exist together."""
    network, _ = Relative(0.5, minimum=2).compress(plain_unet((8, 16, 32), 5))

    made = rewritten(network)

    ways_up = [node for node in made.graph.nodes if isinstance(_module(made, node), Upsampling)]
    assert ways_up
    assert all(len(node.args) == 2 for node in ways_up)
    assert not any(isinstance(module, nn.ConvTranspose3d) for module in made.modules())


def _module(made: Any, node: Any) -> nn.Module | None:
    return made.get_submodule(node.target) if node.op == "call_module" else None


def test_a_way_up_whose_places_overlap_stays_as_it_is() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose3d(3, 4, 2, 2, dilation=(1, 2, 1)).requires_grad_(False)
    network = nn.Sequential(layer, nn.Conv3d(4, 5, 1)).eval().requires_grad_(False)
    x = torch.randn(1, 3, 4, 5, 6)
    expected = copy.deepcopy(network).double()(x.double())

    assert relative_error(rewritten(network)(x), expected) < CLOSE

"""One layer: its decomposition, and the layer that replaces it."""

import copy

import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import mark, raises
from torch import Tensor, nn

from TuckerSegLib.decomposition.tucker import (
    Convolution,
    Factors,
    Ranks,
    TuckerConv,
    decompose,
    is_decomposable,
    kernel_of,
)

KINDS = {nn.Conv2d: 2, nn.Conv3d: 3, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3}


def each(axes: int, low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * axes)


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    kind = draw(st.sampled_from(list(KINDS)))
    axes = KINDS[kind]
    options = {"stride": draw(each(axes, 1, 3)), "padding": draw(each(axes, 0, 2)), "dilation": draw(each(axes, 1, 2))}
    if issubclass(kind, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        # PyTorch wants less than the stride or the dilation.
        options["output_padding"] = tuple(s - 1 for s in options["stride"])
    channels = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    torch.manual_seed(draw(st.integers(0, 1000)))
    layer: Convolution = kind(*channels, draw(each(axes, 1, 3)), bias=draw(st.booleans()), **options)
    return layer


def run(layer: nn.Module, channels: int, axes: int) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        out: Tensor = layer(torch.randn(2, channels, *(9, 8, 7)[:axes]))
    return out


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_at_full_rank_the_replacement_is_the_layer(layer: Convolution) -> None:
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    replacement = TuckerConv.from_conv(layer, Ranks(layer.out_channels, layer.in_channels))
    axes = len(layer.kernel_size)
    expected, found = run(layer, layer.in_channels, axes), run(replacement, layer.in_channels, axes)
    assert expected.shape == found.shape
    assert torch.linalg.vector_norm(found - expected) <= 1e-5 * torch.linalg.vector_norm(expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.data())
def test_at_any_rank_the_three_layers_are_the_kernel_they_stand_for(layer: Convolution, data: st.DataObject) -> None:
    ranks = Ranks(data.draw(st.integers(1, layer.out_channels)), data.draw(st.integers(1, layer.in_channels)))
    replacement = TuckerConv.from_conv(layer, ranks)
    whole = copy.deepcopy(layer)
    with torch.no_grad():
        kernel_of(whole).copy_(replacement.kernel())
    axes = len(layer.kernel_size)
    torch.testing.assert_close(
        run(replacement, layer.in_channels, axes), run(whole, layer.in_channels, axes), rtol=1e-4, atol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.data())
def test_the_error_is_no_worse_than_what_either_mode_loses(out: int, into: int, side: int, data: st.DataObject) -> None:
    """HOOI is at least as good as the truncated HOSVD, whose squared error is at most the sum over both modes.

    It starts from ranks that a kernel can have: one mode's is at most the other's times the voxels.
    """
    kernel = torch.randn(out, into, side, side, side, generator=torch.Generator().manual_seed(out * 13 + into))
    ranks = Ranks(data.draw(st.integers(1, out)), data.draw(st.integers(1, into)))
    factors = decompose(kernel, ranks)
    attainable = (min(ranks.out, ranks.into * side**3), min(ranks.into, ranks.out * side**3))
    tails = [
        torch.linalg.svdvals(kernel.double().movedim(mode, 0).flatten(1))[rank:].square().sum()
        for mode, rank in enumerate(attainable)
    ]
    assert (factors.kernel() - kernel).square().sum() <= sum(tails) * (1 + 1e-6) + 1e-9
    assert factors.core.shape[:2] == tuple(ranks)
    assert factors.last.shape == (out, ranks.out) and factors.first.shape == (into, ranks.into)


def test_a_kernel_of_low_rank_is_found_exactly() -> None:
    torch.manual_seed(1)
    core, last, first = torch.randn(3, 2, 3, 3, 3), torch.randn(16, 3), torch.randn(12, 2)
    kernel = Factors(core, last, first).kernel()
    found = decompose(kernel, Ranks(3, 2)).kernel()
    torch.testing.assert_close(found.float(), kernel, rtol=1e-4, atol=1e-5)


def test_the_same_kernel_gives_the_same_factors() -> None:
    kernel = torch.randn(32, 1, 3, 3, 3)
    first, second = decompose(kernel, Ranks(29, 1)), decompose(kernel, Ranks(29, 1))
    assert torch.equal(first.core, second.core) and torch.equal(first.last, second.last)


@mark.parametrize("backend", ["numpy", "pytorch"])
def test_the_tensorly_backend_of_the_process_stays(backend: str) -> None:
    before = tensorly.get_backend()
    tensorly.set_backend(backend)
    try:
        decompose(torch.randn(4, 4, 3, 3), Ranks(2, 2))
        assert tensorly.get_backend() == backend
        assert tensorly.backend.BackendManager._default_backend == backend
    finally:
        tensorly.set_backend(before)


def test_grouped_convolutions_have_no_decomposition() -> None:
    grouped = nn.Conv3d(8, 8, 3, groups=8)
    assert not is_decomposable(grouped)
    with raises(ValueError, match="groups"):
        TuckerConv.from_conv(grouped, Ranks(4, 4))


@mark.parametrize("ranks", [Ranks(0, 1), Ranks(1, 0), Ranks(5, 1), Ranks(1, 9)])
def test_ranks_beyond_the_channels_are_refused(ranks: Ranks) -> None:
    with raises(ValueError, match="do not fit 4 x 8 channels"):
        TuckerConv.from_conv(nn.Conv2d(8, 4, 3), ranks)


def test_a_transposed_layer_still_takes_an_output_size() -> None:
    layer = nn.ConvTranspose3d(4, 4, 2, stride=2)
    replacement = TuckerConv.from_conv(layer, Ranks(4, 4))
    x = torch.randn(1, 4, 3, 3, 3)
    torch.testing.assert_close(replacement(x, [7, 7, 7]), layer(x, [7, 7, 7]), rtol=1e-4, atol=1e-5)

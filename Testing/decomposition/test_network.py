"""One network: the published table, and what swapping every convolution does and leaves alone."""

import copy
from collections.abc import Mapping

import torch
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx, fixture, mark, raises
from support.architectures import plain_unet, small, task_291, task_297
from torch import nn

from TuckerSegLib.decomposition.counting import convolutions, count_parameters, multiply_adds, without_data
from TuckerSegLib.decomposition.network import chosen_ranks, reshape
from TuckerSegLib.decomposition.policies import RankPolicy, Relative, Settings
from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.decomposition.tucker import Convolution, Ranks, TuckerConv
from TuckerSegLib.errors import InputError

PUBLISHED = {
    1.0: (16_550_518, 31_194_809),
    0.9: (14_875_960, 27_924_612),
    0.7: (9_257_833, 17_358_069),
    0.5: (4_921_577, 9_244_671),
    0.4: (3_309_639, 6_183_190),
    0.3: (1_981_569, 3_698_556),
    0.2: (1_001_213, 1_854_488),
    0.1: (345_401, 627_772),
    0.05: (151_435, 257_926),
}
"""Parameters of tasks 297 and 291 at each factor (Weber et al., Radiology: AI 2025)."""
PUBLISHED_GFLOPS = {1.0: 480.561144, 0.1: 25.719931, 0.05: 24.005427}
"""fvcore's count for task 291 and one patch of 128 x 128 x 128."""


@fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    with torch.device("meta"):
        return task_297(), task_291()


def at(network: nn.Module, factor: float) -> nn.Module:
    return reshape(without_data(network), Relative(factor).choose(convolutions(network)))


@mark.parametrize("factor", LEVELS)
def test_the_published_parameters_come_out_to_the_last_digit(
    networks: tuple[nn.Module, nn.Module], factor: float
) -> None:
    assert tuple(count_parameters(at(network, factor)) for network in networks) == PUBLISHED[factor]


@mark.parametrize("factor", PUBLISHED_GFLOPS)
def test_the_published_gflops_come_out(networks: tuple[nn.Module, nn.Module], factor: float) -> None:
    counted = sum(multiply_adds(at(networks[1], factor), (1, 128, 128, 128)).values()) / 1e9
    assert counted == approx(PUBLISHED_GFLOPS[factor], abs=0.01)


def test_multiply_adds_are_fvcores() -> None:
    from fvcore.nn import FlopCountAnalysis

    for network in (small(), at_weights(small(), 0.5)):
        counted = FlopCountAnalysis(network, torch.zeros(1, 1, 16, 8, 24)).unsupported_ops_warnings(False).total()
        assert sum(multiply_adds(network, (1, 16, 8, 24)).values()) == counted


def at_weights(network: nn.Module, factor: float) -> nn.Module:
    return Relative(factor).compress(network)[0]


def test_compressing_leaves_the_callers_network_alone() -> None:
    network = small()
    before = copy.deepcopy(network.state_dict())
    Relative(0.5).compress(network)
    assert not any(isinstance(module, TuckerConv) for module in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def convolutions_outside_tucker(network: nn.Module) -> list[str]:
    inside = {id(part) for module in network.modules() if isinstance(module, TuckerConv) for part in module.modules()}
    return [name for name, layer in convolutions(network).items() if id(layer) not in inside]


def test_a_layer_registered_under_several_names_is_decomposed_once_and_replaced_under_all() -> None:
    network, report = Relative(0.5).compress(small())
    names = [layer.name for layer in report.layers]
    assert len(names) == len(set(names)) == 3 * 2 + 2 * (1 + 2) + 1
    block = network.encoder.stages[0][0].convs[0]  # type: ignore[union-attr, index]
    assert isinstance(block.conv, TuckerConv) and block.conv is block.all_modules[0]
    assert network.decoder.encoder is network.encoder  # type: ignore[union-attr]


def test_the_head_is_decomposed_and_unused_heads_are_neither_counted_nor_touched() -> None:
    network, _ = Relative(0.5).compress(small())
    heads = network.decoder.seg_layers  # type: ignore[union-attr]
    assert isinstance(heads[-1], TuckerConv) and not any(isinstance(head, TuckerConv) for head in list(heads)[:-1])  # type: ignore[arg-type, index]
    in_training, _ = Relative(0.5).compress(plain_unet((10, 12, 14), 3, deep_supervision=True))
    assert all(isinstance(head, TuckerConv) for head in in_training.decoder.seg_layers)  # type: ignore[union-attr]


def test_grouped_convolutions_stay() -> None:
    network = nn.Sequential(nn.Conv3d(16, 16, 3, groups=16), nn.Conv3d(16, 16, 1))
    compressed, report = Relative(0.5).compress(network)
    assert type(compressed[0]) is nn.Conv3d and isinstance(compressed[1], TuckerConv)  # type: ignore[index]
    assert [layer.name for layer in report.layers] == ["1"]


def test_the_report_adds_up() -> None:
    network = small()
    compressed, report = Relative(0.5).compress(network, (1, 16, 16, 16))
    assert report.parameters_before == count_parameters(network)
    assert report.parameters == count_parameters(compressed)
    saved = sum(layer.parameters_before - layer.parameters for layer in report.layers)
    assert report.parameters_before - report.parameters == saved
    assert report.multiply_adds == sum(multiply_adds(compressed, (1, 16, 16, 16)).values())
    assert all(0 <= layer.error < 1 for layer in report.layers)
    assert all(layer.seconds > 0 for layer in report.layers)


def test_at_full_rank_the_network_gives_the_same_output() -> None:
    class Full(RankPolicy):
        settings: Settings = {}  # noqa: RUF012

        def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
            return {name: Ranks(layer.out_channels, layer.in_channels) for name, layer in layers.items()}

    network = small()
    compressed, _ = Full().compress(network)
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected, found = network(x), compressed(x)
    assert torch.linalg.vector_norm(found - expected) <= 1e-4 * torch.linalg.vector_norm(expected)


def test_weights_fit_the_network_that_is_shaped_by_the_same_ranks() -> None:
    compressed, report = Relative(0.3).compress(small())
    shaped = reshape(small(), chosen_ranks(report))
    shaped.load_state_dict(compressed.state_dict())
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(shaped(x), compressed(x))


def test_a_factor_of_one_is_the_original_network() -> None:
    network, report = Relative(1.0).compress(small())
    assert report.parameters == report.parameters_before
    assert not any(isinstance(module, TuckerConv) for module in network.modules())


@mark.parametrize("factor", [0, -0.1, 1.0001, float("nan"), float("inf")])
def test_a_factor_outside_the_slider_is_refused(factor: float) -> None:
    with raises(InputError, match="outside"):
        Relative(factor)


@given(st.integers(1, 512), st.integers(1, 100), st.integers(1, 16))
def test_ranks_are_the_exact_ceiling_within_their_bounds(channels: int, percent: int, minimum: int) -> None:
    layer = nn.Conv2d(channels, 3, 1)
    ranks = Relative(percent / 100, minimum).choose({"layer": layer})
    if percent == 100:
        assert ranks == {}
    else:
        exact = -(-channels * percent // 100)
        assert ranks["layer"].into == min(max(exact, minimum), channels)

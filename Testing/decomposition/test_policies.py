"""How much of each layer is kept: what every policy promises, whatever the network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import TempPathFactory, fixture, mark, raises
from support.architectures import small
from support.trained_folders import make_folder
from torch import nn

from TuckerSegLib.decomposition import vbmf
from TuckerSegLib.decomposition.budget import Budget
from TuckerSegLib.decomposition.counting import convolutions, count_parameters, multiply_adds
from TuckerSegLib.decomposition.policies import Energy, RankPolicy, Relative, Settings, Vbmf
from TuckerSegLib.decomposition.spectra import spectra_of
from TuckerSegLib.decomposition.tucker import Convolution, Ranks, kernel_of
from TuckerSegLib.errors import InputError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.segmentation.named_policies import policy_of

Matrix = npt.NDArray[np.float64]
Layers = Mapping[str, Convolution]
PATCH = (1, 16, 16, 16)
POLICIES = [
    Relative(0.5),
    Energy(0.8),
    Energy(0.8, minimum=6),
    Vbmf(minimum=1),
    Vbmf(),
    Budget(0.3),
    Budget(share=0.2),
    Budget(share=1.0),
]


@st.composite
def networks(draw: st.DrawFn) -> Layers:
    """A few layers whose channels differ in how alike they are, as those of trained networks do."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    layers = {}
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([nn.Conv3d, nn.ConvTranspose3d, nn.Conv2d]))
        layer = kind(draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(1, 3)))
        decayed(layer, draw(st.floats(0, 1)))
        layers[f"layer{number}"] = layer
    return layers


def decayed(layer: Convolution, decay: float) -> None:
    """Makes the later output channels weaker."""
    with torch.no_grad():
        kernel = kernel_of(layer)
        kernel.mul_(torch.exp(-decay * torch.arange(len(kernel))).reshape(-1, *[1] * (kernel.ndim - 1)))


def parameters(layers: Layers, ranks: Mapping[str, Ranks]) -> float:
    return Budget(share=1.0).cost(layers, ranks)


def kept(squares: Matrix, rank: int) -> float:
    return float(squares[:rank].sum() / squares.sum())


@mark.parametrize("policy", POLICIES, ids=str)
@settings(max_examples=15, deadline=None)
@given(layers=networks())
def test_ranks_are_between_one_and_the_number_of_channels(policy: RankPolicy, layers: Layers) -> None:
    for name, ranks in policy.choose(layers).items():
        assert 1 <= ranks.out <= layers[name].out_channels and 1 <= ranks.into <= layers[name].in_channels


@mark.parametrize("policy", POLICIES, ids=str)
def test_equal_weights_give_equal_ranks_and_the_ranks_fit_the_network(policy: RankPolicy) -> None:
    network = small()
    _, first = policy.compress(network)
    _, second = policy.compress(network)
    assert [layer.ranks for layer in first.layers] == [layer.ranks for layer in second.layers]


@mark.parametrize("policy", POLICIES, ids=str)
def test_settings_name_the_policy_and_are_json(policy: RankPolicy) -> None:
    assert policy.settings["policy"] == type(policy).__name__.lower()
    assert all(isinstance(value, (str, int, float)) for value in policy.settings.values())


@mark.parametrize("policy", [Energy(0.8), Vbmf(), Budget(0.3), Budget(share=0.2)], ids=str)
@settings(max_examples=20, deadline=None)
@given(layers=networks())
def test_no_layer_grows(policy: RankPolicy, layers: Layers) -> None:
    for name, ranks in policy.choose(layers).items():
        alone = {name: layers[name]}
        assert parameters(alone, {name: ranks}) <= parameters(alone, {}) or isinstance(policy, Budget)
    assert parameters(layers, policy.choose(layers)) <= parameters(layers, {}) or policy == Budget(0.3)


@settings(max_examples=25, deadline=None)
@given(networks(), st.floats(0.01, 0.99))
def test_energy_keeps_the_share_it_promises_and_no_rank_more(layers: Layers, share: float) -> None:
    for name, ranks in Energy(share).choose(layers).items():
        spectra = spectra_of(layers[name])
        for squares, rank in zip((spectra.out, spectra.into), ranks, strict=True):
            assert kept(squares, rank) >= share - 1e-9
            assert rank == 1 or kept(squares, rank - 1) < share + 1e-9


@settings(max_examples=25, deadline=None)
@given(networks(), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_more_energy_takes_no_fewer_parameters(layers: Layers, one: float, other: float) -> None:
    fewer, more = (parameters(layers, Energy(share).choose(layers)) for share in sorted((one, other)))
    assert fewer <= more


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 0.95))
def test_the_kernels_error_is_within_what_the_energy_allows(share: float) -> None:
    _, report = Energy(share).compress(small())
    assert all(layer.error**2 <= 2 * (1 - share) + 1e-6 for layer in report.layers)


wide, times = st.integers(30, 80), st.integers(2, 10)
"""Rows of an unfolded kernel, and columns to a row: in fewer, one draw of noise in a hundred looks like a rank."""


def noisy(rows: int, columns: int, rank: int, noise: float, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
    matrix: Matrix = signal + noise * np.sqrt(max(rank, 1)) * rng.normal(size=(rows, columns))
    return matrix


@settings(max_examples=30, deadline=None)
@given(wide, times, st.integers(1, 8), st.floats(0.02, 0.3), st.integers(0, 1000))
def test_vbmf_finds_the_rank_of_a_noisy_matrix(rows: int, times: int, rank: int, noise: float, seed: int) -> None:
    rank = min(rank, rows // 4)
    matrix = noisy(rows, rows * times, rank, noise, seed)
    squares = np.linalg.svd(matrix, compute_uv=False).astype(np.float64) ** 2
    assert vbmf.rank(squares, rows * times) == rank


@settings(max_examples=30, deadline=None)
@given(wide, times, st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_vbmf_sees_nothing_in_noise_alone(rows: int, times: int, scale: float, seed: int) -> None:
    squares = np.linalg.svd(scale * noisy(rows, rows * times, 0, 1, seed), compute_uv=False).astype(np.float64) ** 2
    assert vbmf.rank(squares, rows * times) == 0


def test_vbmf_takes_any_matrix_that_is_not_taller_than_wide() -> None:
    assert vbmf.rank(np.array([4.0]), 5) == 1 and vbmf.rank(np.zeros(4), 5) == 0
    assert vbmf.rank(np.array([9.0, 0, 0]), 3) == 1
    with raises(ValueError, match="transposed"):
        vbmf.rank(np.ones(4), 3)


def test_vbmf_finds_the_ranks_of_a_noisy_kernel() -> None:
    torch.manual_seed(0)
    layer = nn.Conv3d(48, 64, 3)
    core, last, first = torch.randn(12, 9, 3, 3, 3), torch.randn(64, 12), torch.randn(48, 9)
    kernel = torch.einsum("pqabc,op,iq->oiabc", core, last, first)
    with torch.no_grad():
        layer.weight.copy_(kernel + 0.1 * kernel.std() * torch.randn(kernel.shape))
    assert Vbmf(minimum=1).choose({"layer": layer}) == {"layer": Ranks(12, 9)}


@settings(max_examples=25, deadline=None)
@given(networks(), st.floats(0.05, 1))
def test_a_budget_is_met_wherever_it_can_be(layers: Layers, share: float) -> None:
    policy = Budget(share=share)
    dense = parameters(layers, {})
    cheapest = sum(
        min(parameters({n: layer}, {n: Ranks(1, 1)}), parameters({n: layer}, {})) for n, layer in layers.items()
    )
    assert parameters(layers, policy.choose(layers)) <= max(share * dense, cheapest)


@settings(max_examples=30, deadline=None)
@given(networks(), st.integers(5, 95))
def test_a_budget_is_never_predicted_worse_than_the_published_ranks_it_replaces(layers: Layers, percent: int) -> None:
    policy, published = Budget(percent / 100), Relative(percent / 100).choose(layers)
    ranks = policy.choose(layers)
    assert parameters(layers, ranks) <= parameters(layers, published)
    assert policy.predicted_error(layers, ranks) <= policy.predicted_error(layers, published) + 1e-12


@settings(max_examples=25, deadline=None)
@given(networks(), st.floats(0.05, 1))
def test_the_predicted_error_bounds_the_kernels(layers: Layers, share: float) -> None:
    policy = Budget(share=share)
    ranks = policy.choose(layers)
    network = nn.ModuleDict({name: layer for name, layer in layers.items()})
    _, report = policy.compress(network)
    assert sum(layer.error**2 for layer in report.layers) <= policy.predicted_error(layers, ranks) + 1e-6


@settings(max_examples=30, deadline=None)
@given(networks(), st.floats(0.05, 0.5), st.floats(0.02, 0.5))
def test_more_budget_is_not_predicted_worse_by_more_than_a_step(layers: Layers, share: float, more: float) -> None:
    tight, loose = Budget(share=share), Budget(share=min(share + more, 1.0))
    errors = [policy.predicted_error(layers, policy.choose(layers)) for policy in (tight, loose)]
    assert errors[1] <= errors[0] * 1.05 + 1e-9


def test_the_whole_budget_leaves_the_network_as_it_is() -> None:
    assert (
        Budget(share=1.0).predicted_error(convolutions(small()), Budget(share=1.0).choose(convolutions(small()))) == 0
    )


@fixture(scope="module")
def model(tmp_path_factory: TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model")))


@fixture
def trained() -> nn.Module:
    """Layers that differ in how compressible they are: the ranks have something to gain from differing."""
    network = small()
    for number, layer in enumerate(convolutions(network).values()):
        decayed(layer, 0.2 * (number % 4))
    return network


@mark.parametrize("share", [0.1, 0.3, 0.6])
def test_multiply_adds_are_met_as_they_are_counted(trained: nn.Module, share: float) -> None:
    work = multiply_adds(trained, PATCH)
    policy = Budget(share=share, measure="multiply-adds", work=work)
    layers = convolutions(trained)
    compressed, report = policy.compress(trained, PATCH)
    norms = sum(work.values()) - sum(work[name] for name in layers)
    assert report.multiply_adds is not None
    assert report.multiply_adds - norms == policy.cost(layers, policy.choose(layers))
    assert report.multiply_adds - norms <= share * sum(work[name] for name in layers)
    assert count_parameters(compressed) == report.parameters


def test_a_budget_spends_where_it_helps(trained: nn.Module) -> None:
    layers, policy = convolutions(trained), Budget(0.3)
    published, found = Relative(0.3).choose(layers), policy.choose(layers)
    assert policy.predicted_error(layers, found) < 0.9 * policy.predicted_error(layers, published)
    assert parameters(layers, found) >= 0.97 * parameters(layers, published)


@mark.parametrize(
    "wrong",
    [
        lambda: Energy(0),
        lambda: Energy(1),
        lambda: Energy(0.5, minimum=0),
        lambda: Vbmf(minimum=0),
        lambda: Budget(),
        lambda: Budget(0.3, share=0.3),
        lambda: Budget(1.3),
        lambda: Budget(share=0.0),
        lambda: Budget(0.3, measure="joules"),
        lambda: Budget(0.3, measure="seconds").choose({"layer": nn.Conv2d(4, 4, 3)}),
        lambda: Budget(0.3, measure="multiply-adds").choose({"layer": nn.Conv2d(4, 4, 3)}),
    ],
)
def test_settings_out_of_range_are_refused(wrong: "object") -> None:
    with raises(InputError):
        wrong()  # type: ignore[operator]


@mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("relative", {}, Relative(0.3)),
        ("relative", {"factor": 0.5, "minimum": 4}, Relative(0.5, 4)),
        ("energy", {}, Energy(0.9)),
        ("energy", {"share": 0.8}, Energy(0.8)),
        ("vbmf", {"minimum": 2}, Vbmf(2)),
        ("budget", {}, Budget(0.3)),
        ("budget", {"share": 0.2, "measure": "multiply-adds"}, Budget(share=0.2, measure="multiply-adds")),
    ],
)
def test_a_policy_is_made_from_its_name(model: TrainedModel, name: str, settings: Settings, expected: object) -> None:
    assert policy_of(name, model, **settings) == expected


@mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("tensor-train", {}, "There is no policy tensor-train"),
        ("vbmf", {"factor": 0.3}, "has no factor"),
        ("relative", {"share": 0.3}, "has no share"),
        ("budget", {"factor": 0.3, "share": 0.3}, "one of the two"),
        ("relative", {"factor": 1.0}, "nothing to compress"),
    ],
)
def test_what_does_not_go_together_is_said(model: TrainedModel, name: str, settings: Settings, sentence: str) -> None:
    with raises(InputError, match=sentence):
        policy_of(name, model, **settings)


def test_each_policy_compresses_a_model_and_is_found_again(model: TrainedModel, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for name in ("relative", "energy", "vbmf", "budget"):
        policy = policy_of(name, model)
        made, first = cache.compressed(model, policy)
        found, again = cache.compressed(model, policy)
        assert (first, again) == (False, True)
        assert made.compression and found.compression
        assert made.compression.policy == found.compression.policy == policy.settings

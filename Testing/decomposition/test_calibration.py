"""A decomposition that looks at data: closer than one of the weights alone, exact where it can be, repeatable."""

# mypy: allow-untyped-calls

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import TempPathFactory, approx, fixture, mark, raises
from support.architectures import small
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.decomposition.budget import Budget
from TuckerSegLib.decomposition.calibration.calibrated import Calibrated
from TuckerSegLib.decomposition.calibration.kernel_inputs import kernel_inputs, knows_inputs, rows_of
from TuckerSegLib.decomposition.calibration.layer import Fit, Seen, fit_decomposed, fit_whole
from TuckerSegLib.decomposition.calibration.predicted_errors import predicted_errors
from TuckerSegLib.decomposition.calibration.sensitivity import sensitivities
from TuckerSegLib.decomposition.counting import count_parameters
from TuckerSegLib.decomposition.network import chosen_ranks, reshape
from TuckerSegLib.decomposition.policies import RankPolicy, Relative, Settings
from TuckerSegLib.decomposition.tucker import Convolution, Ranks, TuckerConv, kernel_of
from TuckerSegLib.errors import InputError
from TuckerSegLib.inference.patches import patches_of
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.volumes.phantoms.phantom import phantom
from TuckerSegLib.volumes.phantoms.seeds import TESTS, TRAINING
from TuckerSegLib.volumes.sources import volumes_of
from TuckerSegLib.volumes.volume import Geometry, Volume

FIT = Fit(samples=2000)


def smooth(count: int, seed: int) -> Tensor:
    """Patches in which neighbours are alike, as in images."""
    noise = torch.randn(count, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))
    return 3 * nn.functional.avg_pool3d(noise, 5, stride=1, padding=2)


@fixture(scope="module")
def patches() -> Tensor:
    return smooth(4, 0)


def distance(network: nn.Module, other: nn.Module, seed: int = 1) -> float:
    x = smooth(2, seed)
    with torch.no_grad():
        return float((network(x) - other(x)).norm() / network(x).norm())


@mark.parametrize("policy", [Relative(0.5, minimum=2), Budget(0.5)], ids=str)
def test_on_data_it_never_saw_it_is_closer_than_the_decomposition_of_the_weights(
    policy: RankPolicy, patches: Tensor
) -> None:
    network = small()
    plain, calibrated = policy.compress(network)[0], Calibrated(policy, patches, FIT).compress(network)[0]
    assert distance(network, calibrated) < 0.9 * distance(network, plain)


class Full(RankPolicy):
    """Every layer at all its channels."""

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return {name: Ranks(layer.out_channels, layer.in_channels) for name, layer in layers.items()}

    settings: Settings = {"policy": "full"}  # noqa: RUF012


def test_at_full_rank_the_network_gives_the_same_output(patches: Tensor) -> None:
    network = small()
    calibrated, _ = Calibrated(Full(), patches, FIT).compress(network)
    assert distance(network, calibrated) < 1e-3


def test_the_callers_network_stays_and_equal_data_give_equal_weights(patches: Tensor) -> None:
    network = small()
    before = copy.deepcopy(network.state_dict())
    first, second = (Calibrated(Relative(0.5), patches, FIT).compress(network)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(isinstance(module, TuckerConv) for module in network.modules())


def test_the_report_and_the_ranks_are_those_of_compress(patches: Tensor) -> None:
    network, told = small(), list[Event]()
    _, plain = Relative(0.5).compress(network, (1, 16, 16, 16))
    policy = Calibrated(Relative(0.5), patches, FIT)
    small_one, report = policy.compress(network, (1, 16, 16, 16), Progress(told.append))
    assert chosen_ranks(report) == chosen_ranks(plain)
    assert report.parameters == plain.parameters == count_parameters(small_one)
    assert report.multiply_adds == plain.multiply_adds
    steps = [(event.number, event.count) for event in told if event.count]
    assert steps == [(n + 1, len(plain.layers)) for n in range(len(plain.layers))]


def test_weights_fit_the_network_that_is_shaped_by_the_same_ranks(patches: Tensor) -> None:
    compressed, report = Calibrated(Relative(0.3), patches, FIT).compress(small())
    shaped = reshape(small(), chosen_ranks(report))
    shaped.load_state_dict(compressed.state_dict())
    assert distance(compressed, shaped) == 0


def test_a_factor_of_one_is_the_original_network(patches: Tensor) -> None:
    network = small()
    calibrated, report = Calibrated(Relative(1.0), patches, FIT).compress(network)
    assert distance(network, calibrated) == 0 and report.parameters == report.parameters_before


def test_without_a_patch_there_is_nothing_to_fit() -> None:
    with raises(ValueError, match="at least one patch"):
        Calibrated(Relative(0.5), torch.empty(0, 1, 16, 16, 16)).compress(small())


def test_a_dead_input_does_no_harm() -> None:
    calibrated, _ = Calibrated(Relative(0.5), torch.zeros(2, 1, 16, 16, 16), FIT).compress(small())
    assert all(torch.isfinite(p).all() for p in calibrated.parameters())


def test_sensitivity_of_the_answer_itself_is_the_spread_of_the_labels(patches: Tensor) -> None:
    """For the network's own scores the Fisher information is diag(p) - p p', summed over voxels."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv3d(1, 3, 1)).eval()
    with torch.no_grad():
        p = head(patches).softmax(1).movedim(1, -1).flatten(0, -2).double()
    expected = (torch.diag_embed(p) - p[:, :, None] * p[:, None]).sum(0) / len(patches)
    found = sensitivities(head, patches, seed=0)["0"].metric
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.05 * float(expected.diagonal().mean()))


def test_voxels_are_sensitive_where_the_answer_hangs_in_the_balance(patches: Tensor) -> None:
    """Where one label is certain, no small error changes it; where two are as likely, one does."""
    conv = nn.Conv3d(1, 2, 1, bias=False)
    head = nn.Sequential(conv).eval()
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([8.0, -8.0]).view(2, 1, 1, 1, 1))
        p = head(patches).softmax(1)[:, 0]
    voxels = sensitivities(head, patches, seed=0)["0"].voxels
    balanced, certain = voxels[(p > 0.3) & (p < 0.7)], voxels[(p < 0.001) | (p > 0.999)]
    assert len(balanced) and len(certain) and balanced.mean() > 100 * certain.mean()


def seen_of(conv: Convolution, x: Tensor, voxels: Tensor, weights: Tensor | None = None) -> Seen:
    """What `conv` gives for x at some voxels, all channels alike."""
    output = rows_of(conv(x), voxels)
    weights = torch.ones(len(output)) if weights is None else weights
    return Seen(voxels, output, rows_of(x, voxels), weights.double(), torch.eye(output.shape[1]).double())


@fixture(scope="module")
def layer() -> tuple[Convolution, Tensor]:
    """A convolution, and inputs whose channels depend on one another."""
    torch.manual_seed(3)
    x = torch.cat([smooth(2, seed) for seed in range(6)], 1)
    mixed = torch.einsum("cd,ndijk->ncijk", torch.randn(12, 6), x) + 0.3 * torch.randn(2, 12, 16, 16, 16)
    return nn.Conv3d(12, 10, 3, padding=1).requires_grad_(False), mixed


def test_a_whole_layer_makes_up_for_what_its_inputs_have_lost(layer: tuple[Convolution, Tensor]) -> None:
    conv, x = layer
    poorer = torch.cat([x[:, :9], torch.zeros_like(x[:, 9:])], 1)
    here, there = torch.arange(4096)[::2], torch.arange(4096)[1::2]
    fitted = fit_whole(conv, poorer, seen_of(conv, x, here), FIT)
    wanted = rows_of(conv(x), there)
    before, after = ((rows_of(one(poorer), there) - wanted).norm() for one in (conv, fitted))
    assert after < 0.8 * before


def test_a_layer_is_closest_where_its_errors_count(layer: tuple[Convolution, Tensor]) -> None:
    conv, x = layer
    x = x.clone()
    x[:, :6, :8] *= 0.1
    x[:, 6:, 8:] *= 0.1
    voxels = torch.arange(4096)
    matters = (voxels < 2048).double().repeat(2)
    everywhere, there = (
        fit_decomposed(conv, Ranks(4, 5), x, seen_of(conv, x, voxels, weights), FIT)
        for weights in (None, matters + 0.01)
    )
    with torch.no_grad():
        lost = [(rows_of(one(x) - conv(x), voxels) * matters[:, None]).norm() for one in (everywhere, there)]
    assert lost[1] < 0.9 * lost[0]


def test_what_a_layer_would_lose_is_what_it_loses_on_other_voxels(layer: tuple[Convolution, Tensor]) -> None:
    conv, x = layer
    here, there = torch.arange(4096)[::2], torch.arange(4096)[1::2]
    seen, fit = seen_of(conv, x, here), replace(FIT, rounds=0)
    errors = predicted_errors(conv, x, seen, fit)
    assert (np.diff(errors, axis=0) <= 0).all() and (np.diff(errors, axis=1) <= 0).all()
    wanted = rows_of(conv(x), there)
    variance = float((wanted - wanted.mean(0)).square().sum())
    for ranks in (Ranks(2, 4), Ranks(4, 6), Ranks(8, 8)):
        fitted = fit_decomposed(conv, ranks, x, seen, fit)
        share = float((rows_of(fitted(x).detach(), there) - wanted).square().sum()) / variance
        predicted = errors[ranks.out - 1, ranks.into - 1] / float(seen.output.var(0, correction=0).sum())
        assert share / (1 - share) == approx(predicted, rel=0.25)


def test_fitting_the_three_parts_in_turn_comes_closer_than_fitting_them_once(patches: Tensor) -> None:
    network, policy = small(), Relative(0.4, minimum=2)
    once, often = (Calibrated(policy, patches, replace(FIT, rounds=rounds)).compress(network)[0] for rounds in (0, 3))
    assert distance(network, often) < distance(network, once)


@st.composite
def layers(draw: st.DrawFn) -> Convolution:
    torch.manual_seed(draw(st.integers(0, 1000)))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * 3))
    if draw(st.booleans()):
        return nn.ConvTranspose3d(3, 4, kernel, stride=kernel)
    each = st.tuples(*[st.integers(1, 2)] * 3)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 3))
    return nn.Conv3d(3, 4, kernel, stride=draw(each), padding=padding, dilation=draw(each))


@settings(max_examples=40, deadline=None)
@given(layers())
def test_taps_times_the_kernel_are_the_layers_output(layer: Convolution) -> None:
    assert knows_inputs(layer)
    x = torch.randn(2, 3, 7, 6, 5)
    with torch.no_grad():
        output = layer(x).flatten(2)
    assert layer.bias is not None
    voxels = torch.randperm(output.shape[2])[:20]
    found = kernel_inputs(layer, x, voxels) @ kernel_of(layer).flatten(1).T + layer.bias
    torch.testing.assert_close(found, output[:, :, voxels].movedim(1, 2).flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_layers_whose_taps_are_not_known_are_decomposed_by_their_weights(patches: Tensor) -> None:
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1, padding_mode="replicate"), nn.Conv3d(8, 4, 1)).eval()
    calibrated, _ = Calibrated(Relative(0.5, minimum=2), patches, FIT).compress(network)
    plain, _ = Relative(0.5, minimum=2).compress(network)
    assert torch.equal(calibrated[0].core.weight, plain[0].core.weight)  # type: ignore[index]
    assert distance(network, calibrated) <= distance(network, plain)


def test_patches_are_the_models_own_view_of_the_volumes(model: TrainedModel) -> None:
    volumes = [phantom(seed).image for seed in (TESTS[18], TRAINING[3])]
    patches = patches_of(model, volumes, most=3, seed=1)
    assert patches.shape == (3, 1, *model.patch_size)
    assert torch.equal(patches, patches_of(model, volumes, most=3, seed=1))
    assert not torch.equal(patches, patches_of(model, volumes, most=3, seed=2))
    assert len(patches_of(model, volumes)) == 24
    small_volume = Volume(volumes[0].voxels[:, :5, :5, :5], Geometry((5, 5, 5), volumes[0].geometry.ijk_to_ras))
    assert patches_of(model, [small_volume], most=1).shape == (1, 1, *model.patch_size)


def test_volumes_are_named_as_phantoms_files_or_folders(tmp_path: Path) -> None:
    for number in range(2):
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), tmp_path / f"{number}.nii.gz")
    (tmp_path / "notes.txt").write_text("no image")
    assert len(volumes_of([str(tmp_path)])) == 2
    assert volumes_of([str(tmp_path / "0.nii.gz")])[0].voxels.shape == (1, 4, 5, 6)
    with raises(InputError, match="does not exist"):
        volumes_of([str(tmp_path / "missing.nii.gz")])


@fixture(scope="module")
def model(tmp_path_factory: TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), folds=(0, 1)))


def test_a_calibrated_level_is_kept_and_found_by_its_data_and_settings(
    model: TrainedModel, patches: Tensor, tmp_path: Path
) -> None:
    cache, policy = Cache(tmp_path / "cache"), Calibrated(Budget(0.5), patches, FIT)
    made, first = cache.compressed(model, policy)
    found, again = cache.compressed(model, Calibrated(Budget(0.5), patches.clone(), FIT))
    assert (first, again) == (False, True)
    for one, other in zip(made.load_weights(), found.load_weights(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    paths = {
        cache.path_of(model, other)
        for other in (
            policy,
            policy.policy,
            replace(policy, patches=patches + 1),
            replace(policy, fit=Fit(samples=1000)),
            replace(policy, policy=Budget(0.3)),
        )
    }
    assert len(paths) == 5

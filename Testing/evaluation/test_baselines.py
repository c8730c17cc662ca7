"""What is compared with the product's policies takes what it says, and gives what its smaller form would give."""

# mypy: allow-untyped-calls

import torch
from pytest import TempPathFactory, approx, fixture, mark
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.decomposition.counting import convolutions, count_parameters
from TuckerSegLib.decomposition.tucker import kernel_of
from TuckerSegLib.evaluation.accuracy.baselines import Canonical, EightBit, Pruned, _remaining, published_parameters
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel


@fixture(scope="module")
def model(tmp_path_factory: TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model")))


def network_of(model: TrainedModel) -> nn.Module:
    network = model.network_without_data()
    network.load_state_dict(model.load_weights()[0], assign=True)
    return network.eval().requires_grad_(False)


def kernels(model: TrainedModel) -> dict[str, Tensor]:
    return {name: kernel_of(layer) for name, layer in convolutions(network_of(model)).items()}


def test_an_unpruned_network_keeps_all_its_parameters(model: TrainedModel) -> None:
    network = network_of(model)
    assert _remaining(network, model) == count_parameters(network)


@mark.parametrize("factor", [0.7, 0.4])
def test_pruning_takes_the_weakest_filters_of_every_layer_and_no_more_parameters_than_tucker(
    model: TrainedModel, factor: float
) -> None:
    reduced = Pruned(factor).reduced(model)
    assert reduced.parameters <= published_parameters(model, factor) < 1.5 * reduced.parameters
    before, after = kernels(model), kernels(reduced.model)
    for name in list(before)[:-1]:
        norms, gone = before[name].flatten(1).abs().sum(1), ~after[name].flatten(1).any(1)
        assert gone.any() and norms[gone].max() <= norms[~gone].min()


def test_channels_that_were_taken_out_are_zero_and_unread(model: TrainedModel) -> None:
    network = network_of(Pruned(0.4).reduced(model).model)
    layers, seen = list(convolutions(network).values()), list[Tensor]()
    layers[1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.randn(1, 1, *model.patch_size))
    assert torch.equal(seen[0][0].flatten(1).any(1), kernel_of(layers[0]).flatten(1).any(1))


def test_eight_bits_round_every_weight_by_half_a_step_at_most(model: TrainedModel) -> None:
    reduced = EightBit().reduced(model)
    for before, after in zip(kernels(model).values(), kernels(reduced.model).values(), strict=True):
        steps = before.flatten(1).abs().amax(1) / 127
        assert ((before - after).flatten(1).abs().amax(1) <= 0.5001 * steps).all()
        assert max(len(row.unique()) for row in after.flatten(1)) <= 255
    assert reduced.parameters < reduced.size < 2 * reduced.parameters


def test_cp_is_closer_the_more_terms_it_has_and_takes_no_more_than_tucker(model: TrainedModel) -> None:
    errors = []
    for factor in (0.3, 0.9):
        reduced = Canonical(factor).reduced(model)
        assert reduced.parameters <= published_parameters(model, factor)
        assert reduced.size == approx(4 * reduced.parameters)
        pairs = zip(kernels(model).values(), kernels(reduced.model).values(), strict=True)
        errors.append(sum(float((one - other).norm() / one.norm()) for one, other in pairs))
    assert errors[1] < errors[0]

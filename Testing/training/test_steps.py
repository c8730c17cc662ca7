"""What a step of *Improve* is made of: Muon, patches with answers, and cores that each take a part."""

import sys

import numpy as np
import pytest
import torch
from support.architectures import small
from torch import Tensor, nn

from TuckerSegLib.training.improving.answered import AnsweredPatches
from TuckerSegLib.training.improving.muon import Muon, orthogonalised
from TuckerSegLib.training.per_core import PerCore, patches_at_once

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(8, 216), (64, 8), (12, 12)])
def test_all_directions_of_a_step_are_nearly_alike(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    spread = torch.logspace(0, -1.5, min(shape))
    values = torch.linalg.svdvals(orthogonalised(u * spread @ v))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3


def test_kernels_go_by_muon_and_vectors_and_wide_kernels_by_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((8, 4, 3, 3, 3), (8,), (700, 700))
    weights = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    optimizer = Muon(weights, 0.1)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator) * torch.logspace(0, -2, len(weight)).reshape(
            -1, *[1] * (weight.ndim - 1)
        )
    optimizer.step()
    kernel, vector, wide = (weight.detach() for weight in weights)
    sizes = kernel.flatten(1).norm(dim=1)
    assert sizes.max() < 2 * sizes.min(), "rows whose gradients differ a hundredfold move alike"
    assert torch.allclose(vector.abs(), torch.full((8,), 0.1), rtol=1e-3) and kernel.pow(2).mean().sqrt() < 0.05
    assert torch.allclose(wide.abs().mean(), torch.tensor(0.1), rtol=0.01), "which Muon would take too long for"


def test_a_training_of_muon_goes_on_where_it_was() -> None:
    def started() -> tuple[list[nn.Parameter], Muon]:
        weights = [nn.Parameter(torch.ones(6, 4)), nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(3))]
        return weights, Muon(weights, 0.01)

    def step(weights: list[nn.Parameter], optimizer: Muon, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for weight in weights[:2]:  # the last is a head that nothing reads
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()

    weights, optimizer = started()
    for seed in range(3):
        step(weights, optimizer, seed)
    others, again = started()
    for other, weight in zip(others, weights, strict=True):
        other.data.copy_(weight)
    again.go_on_from(optimizer.moments())
    assert set(optimizer.moments()) == {0, 1}
    step(weights, optimizer, 7)
    step(others, again, 7)
    assert all(torch.equal(other, weight) for other, weight in zip(others, weights, strict=True))


def test_each_patch_is_new_once_and_its_answer_is_used_again() -> None:
    asked: list[Tensor] = []

    def answer(patch: Tensor) -> Tensor:
        asked.append(patch)
        return 1e6 * patch

    made = AnsweredPatches(lambda random: torch.full((1, 4, 4, 4), float(random.random())), answer, CPU)
    first, second = (made.batch(np.random.default_rng(seed), 2) for seed in range(2))
    assert len(asked) == 3, "two at first, as none was at hand, and then one"
    patches, answers = second
    assert float(patches[1].mean()) in {float(patch.mean()) for patch in first[0]}
    assert patches.shape == (2, 1, 4, 4, 4) and answers.dtype == torch.half and torch.isfinite(answers).all()


def test_answers_at_hand_take_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("TuckerSegLib.training.improving.answered._KEPT", 300)
    made = AnsweredPatches(lambda random: torch.full((1, 4, 4, 4), float(random.random())), lambda patch: patch, CPU)
    for seed in range(5):
        made.batch(np.random.default_rng(seed), 2)
    assert len(made._kept) == 2, "128 bytes each"


def test_parts_that_cores_take_are_the_whole() -> None:
    first, second = torch.arange(4.0), 10 * torch.arange(4.0)
    found = PerCore(CPU, 4).map(lambda one, other: one + other, first, second)
    assert torch.equal(torch.cat(found), first + second)


def test_two_patches_at_a_time_need_two_cores_and_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network, patch = small(), (1, 16, 16, 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert patches_at_once(network, patch, CPU) == 2
    assert patches_at_once(network, patch, torch.device("cuda")) == 1
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 1_000_000}))
    assert patches_at_once(network, patch, CPU) == 1
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert patches_at_once(network, patch, CPU) == 1
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert patches_at_once(network, patch, CPU) == 1

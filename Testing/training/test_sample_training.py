"""How the wide sample is made: it starts as the small one's equal, and its loss is what it says."""

from typing import Any

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from support.paths import ROOT
from torch import nn
from torch.nn import functional

from TuckerSegLib.models.folder import open_folder

RESOURCES = ROOT / "Resources"


@pytest.fixture(autouse=True)
def the_scripts_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RESOURCES))


def network(features: tuple[int, ...]) -> Any:
    stages = len(features)
    made = PlainConvUNet(
        1, stages, features, nn.Conv3d, 3, [1] + [2] * (stages - 1), 2, 3, 2, conv_bias=True,
        norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True}, deep_supervision=True,
    )  # fmt: skip
    for name, parameter in made.named_parameters():
        if "norm" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return made


def test_a_network_grown_to_twice_the_width_computes_nearly_the_same() -> None:
    from sample_training.growth import grow

    torch.manual_seed(0)
    small, wide = network((8, 16, 32)), network((16, 32, 64, 80))
    images = [torch.randn(1, 1, 32, 32, 32) for _ in range(3)]
    grow(wide, small, images[:2], torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = small(images[2])[0], wide(images[2])[0]
    agreement = np.corrcoef(expected.ravel(), found.ravel())[0, 1]
    assert agreement > 0.95
    weight = wide.encoder.stages[1][0].convs[0].conv.weight
    assert not torch.equal(weight[:, :8], weight[:, 8:])


def test_the_loss_is_cross_entropy_and_the_dice_of_what_is_there() -> None:
    from sample_training.loss import loss_of

    torch.manual_seed(0)
    scores = [torch.randn(1, 5, size, size, size, requires_grad=True) for size in (24, 12)]
    labels = torch.randint(0, 4, (1, 24, 24, 24))
    expected = torch.zeros(())
    for step, output in zip((1, 2), scores, strict=True):
        target = labels[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
        truth, found = functional.one_hot(target, 5).movedim(-1, 1).float(), output.softmax(1)
        overlap, size = (found * truth).sum((0, 2, 3, 4)), (found + truth).sum((0, 2, 3, 4))
        dice = (2 * overlap + 1) / (size + 1)
        expected = expected + (functional.cross_entropy(output, target) + 1 - dice[1:4].mean()) / step / 1.5
    found_loss = loss_of(scores, labels)
    assert float(found_loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for ours, wanted in zip(
        torch.autograd.grad(found_loss, scores), torch.autograd.grad(expected, scores), strict=True
    ):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-8)


def test_a_patch_beyond_the_image_is_empty_there() -> None:
    from sample_training.cases import Case, Cases

    cases = Cases(RESOURCES / "nowhere", range(3))
    image = np.ones((5, 9, 7), np.float16)
    cases._found[0] = Case(image, image.astype(np.uint8), {1: np.arange(image.size, dtype=np.int32)})
    patch, labels = cases.patch(np.random.default_rng(0), (8, 8, 8))
    assert patch.shape == (1, 1, 8, 8, 8)
    assert labels.shape == (1, 8, 8, 8)
    assert float(patch.sum()) == float(labels.sum()) == 5 * 8 * 7


def test_the_wide_samples_plans_describe_the_published_width() -> None:
    from sample_training.wide import FEATURES, PATCH, plans_and_dataset

    plans, dataset = plans_and_dataset()
    configuration = plans["configurations"]["3d_fullres"]
    small = open_folder(RESOURCES / "SampleModel")
    assert configuration["architecture"]["arch_kwargs"]["features_per_stage"] == [32, 64, 128, 256, 320] == [*FEATURES]
    assert tuple(configuration["spacing"]) == small.spacing
    assert dataset == small.dataset
    assert all(length % 2 ** (len(FEATURES) - 1) == 0 for length in PATCH)


def test_the_wide_sample_opens_and_is_small_enough_to_ship() -> None:
    folder = RESOURCES / "WideSampleModel"
    model = open_folder(folder)
    (weights,) = model.load_weights()
    model.network().load_state_dict(weights)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert sum(path.stat().st_size for path in (folder / "fold_0").iterdir()) <= 35e6

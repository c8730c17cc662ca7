"""A level's answer comes with how good it is on this scan, and with the original's where that is not enough."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.errors import Cancelled
from TuckerSegLib.inference.check.checked import Checked
from TuckerSegLib.inference.check.checking import Wanted
from TuckerSegLib.inference.check.expected_dice import expected_dice, known
from TuckerSegLib.inference.check.learning import examples, learnt
from TuckerSegLib.inference.check.original import Original
from TuckerSegLib.inference.check.reliability import CLASSES, Reliability, doubt
from TuckerSegLib.inference.check.sureness import EDGES, Sureness, label_count, labels_on_grid, sureness
from TuckerSegLib.inference.head import Head, split
from TuckerSegLib.inference.predict import predict, predict_checked, preprocessed
from TuckerSegLib.inference.window.merged import Merged, merged_head
from TuckerSegLib.inference.window.places import Places
from TuckerSegLib.inference.window.sliding_window import SlidingWindow
from TuckerSegLib.inference.window.sums import Sums
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.volumes.dice import mean_dice
from TuckerSegLib.volumes.volume import Geometry, Volume

MILLILITRE = 1000 / 1.5**3
"""Voxels."""

CPU = torch.device("cpu")

Labels = npt.NDArray[np.unsignedinteger]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small patches on a busy computer are fastest so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def volume(shape: tuple[int, int, int] = (26, 30, 34), seed: int = 0) -> Volume:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    voxels = (900 * noise / np.abs(noise).max()).astype(np.int16)
    return Volume(voxels[None], Geometry.from_lps(shape, (1.5, 1.5, 1.5), (0, 0, 0), np.eye(3)))


def disturbed(network: nn.Module, amount: float) -> nn.Module:
    """The network with so much noise on its weights, relative to theirs: a level that has lost something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(amount * weight.std(correction=0) * torch.randn(weight.shape, generator=generator))
    return network


def networks(model: TrainedModel, amount: float = 0.0) -> list[nn.Module]:
    return [disturbed(network, amount) for network in model.networks()]


def checked(
    model: TrainedModel, amount: float, image: Volume, at_least: float | None = None, **options: Any
) -> tuple[Labels, Checked]:
    wanted = Wanted(options.pop("reliability", Reliability.unknown(label_count(model))), at_least)
    original = options.pop("original", Original(networks(model)))
    labels, found, _ = predict_checked(
        model, networks(model, amount), image, lambda _: original, wanted, device=CPU, **options
    )
    return labels, found


def reliability(model: TrainedModel, amount: float) -> Reliability:
    """Of the level on another image."""
    known = examples(model, Original(networks(model)), [volume(seed=1)], device=CPU)
    return learnt(model, Original(networks(model, amount)), known, device=CPU).reliability


MODELS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "plain": ({}, (26, 30, 34)),
    "folds, mirrored": ({"folds": (0, 1), "mirroring": (0, 2)}, (20, 20, 30)),
    "regions": ({"regions": True, "labels": 4}, (26, 30, 34)),
    "2D": ({"dimensions": 2}, (5, 30, 34)),
    "smaller than a patch": ({"patch_size": (32, 16, 16)}, (20, 26, 30)),
    "resampled": ({"spacing": (2.0, 1.7, 1.8)}, (26, 30, 34)),
    "one patch": ({"patch_size": (32, 32, 32)}, (20, 26, 30)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_worthless_level_becomes_slow_and_never_wrong(tmp_path: Path, name: str) -> None:
    settings, shape = MODELS[name]
    model, image = open_folder(make_folder(tmp_path, **settings)), volume(shape)
    labels, found = checked(model, 2.0, image, at_least=1.0)
    alone, _ = predict(model, networks(model), image, device=CPU, head=None)
    assert found.windows == found.count and found.agreement == found.low == 1.0
    assert found.basis == "it is the original network's own answer"
    # nnU-Net averages scores in half precision, which decides where two of them are equal to three digits.
    assert (labels == alone).mean() > 0.995


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), labels=6))


def test_what_is_told_is_near_the_truth_and_costs_few_patches(model: TrainedModel) -> None:
    original, _ = predict(model, networks(model), volume(), device=CPU)
    told = []
    for amount in (0.0, 0.01, 0.1, 2.0):
        labels, found = checked(model, amount, volume(), reliability=reliability(model, amount))
        assert 0 < found.windows <= 0.2 * found.count
        assert found.basis.endswith(f"on {found.windows} of this scan's {found.count} patches")
        assert 0 <= found.low <= found.agreement <= found.high <= 1
        truth = mean_dice(original, labels, MILLILITRE)
        assert found.agreement == pytest.approx(truth, abs=0.04) or max(found.agreement, truth) < 0.5
        told.append(found.agreement)
    assert told == sorted(told, reverse=True)
    assert told[0] > 0.97 and told[-1] < 0.5


@pytest.mark.parametrize("at_least", [0.9, 0.98])
def test_a_promise_is_kept_with_no_more_patches_than_it_needs(model: TrainedModel, at_least: float) -> None:
    original, _ = predict(model, networks(model), volume(), device=CPU)
    counts = []
    for amount in (0.0, 0.05, 2.0):
        labels, found = checked(model, amount, volume(), at_least)
        assert mean_dice(original, labels, MILLILITRE) >= at_least
        counts.append(found.windows)
    assert counts == sorted(counts)
    assert counts[0] < found.count


def test_a_scan_of_two_patches_is_trusted_where_the_level_is_known_to_be_good(model: TrainedModel) -> None:
    image = volume((16, 16, 20))
    good = Reliability(np.full((6, CLASSES), 1e6), np.full((6, CLASSES), 1.0))
    labels, found = checked(model, 0.01, image, reliability=good)
    assert (found.windows, found.count) == (0, 2)
    assert "expected from phantoms" in found.basis
    np.testing.assert_array_equal(labels, predict(model, networks(model, 0.01), image, device=CPU)[0])
    bad = Reliability(good.seen, good.seen / 2)
    assert checked(model, 0.01, image, reliability=bad)[1].windows == 1


def test_heads_may_be_off(model: TrainedModel) -> None:
    (level_trunk, level_head), (trunk, head) = (split(networks(model, amount)[0]) for amount in (0.05, 0.0))
    labels, found, _ = predict_checked(
        model, [level_trunk], volume(), lambda _: Original([trunk], head), Wanted(Reliability.unknown(6)),
        device=CPU, head=level_head,
    )  # fmt: skip
    whole, with_heads = checked(model, 0.05, volume())
    assert found.agreement == pytest.approx(with_heads.agreement, abs=1e-3)
    assert (labels == whole).mean() > 0.995


def test_the_check_is_told_and_stoppable(model: TrainedModel) -> None:
    stages: list[str] = []
    progress = Progress(lambda event: stages.append(event.stage))
    checked(model, 0.1, volume(), progress=progress)
    assert list(dict.fromkeys(stages)) == ["preprocess", "predict", "check", "postprocess"]

    def cancel_in_check(event: Event) -> None:
        if event.stage == "check":
            progress.cancel()

    progress = Progress(cancel_in_check)
    calls: list[int] = []
    original = Original([_counted(networks(model)[0], calls)])
    with pytest.raises(Cancelled):
        checked(model, 0.1, volume(), progress=progress, original=original)
    assert not calls


def _counted(network: nn.Module, calls: list[int]) -> Callable[[Tensor], Tensor]:
    def call(patch: Tensor) -> Tensor:
        calls.append(1)
        answer: Tensor = network(patch)
        return answer

    return call


def test_some_patches_after_others_sum_up_to_all(model: TrainedModel) -> None:
    trunk, head = split(networks(model)[0])
    window = SlidingWindow(model, [trunk], CPU, Progress(), features=head.features)
    data = preprocessed(model, volume())
    places = window.places(data)
    sums = Sums.zeros((head.features, *places.shape[1:]))
    for chosen in ([3, 0], list(range(4, len(places))), [2, 1]):
        window.add(data, chosen, sums)
    sums.divide(places.weights(range(len(places))))
    torch.testing.assert_close(sums[places.inside], window.answers(data), rtol=1e-4, atol=1e-4)


def test_every_voxel_belongs_to_the_patch_that_weighs_most_there() -> None:
    places = Places((1, 20, 9, 40), (16, 16, 16), 0.5)
    weights = torch.stack([places.weights([index]) for index in range(len(places))])
    inside = weights[(slice(None), *places.inside[1:])]
    assert places.owners.shape == (20, 9, 40)
    torch.testing.assert_close(inside.gather(0, places.owners[None].long())[0], inside.amax(0))


def test_merged_answers_are_each_networks_where_it_alone_ran() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(3, 4, 4, 4), torch.randn(2, 4, 4, 4)
    heads = Head(torch.randn(5, 3), torch.randn(5)), Head(torch.randn(5, 2), torch.randn(5))
    weights = torch.zeros(4, 4, 4)
    weights[2:] = 7.0
    merged = Merged(first, second * weights, weights, torch.full((4, 4, 4), 7.0))
    assert merged.shape == (7, 4, 4, 4)
    scores = merged_head(*heads)(merged[:, :].flatten(1).T).T.view(5, 4, 4, 4)
    for rows, head, features in ((slice(0, 2), heads[0], first), (slice(2, 4), heads[1], second)):
        expected = head(features[:, rows].flatten(1).T).T.view(5, 2, 4, 4)
        torch.testing.assert_close(scores[:, rows], expected, rtol=1e-4, atol=1e-4)


def test_the_two_best_labels_are_those_that_sorting_finds(tmp_path: Path) -> None:
    model = open_folder(make_folder(tmp_path, labels=6))
    outputs = model.label_manager.num_segmentation_heads
    # Whole numbers, so that many voxels have several best labels: the first counts, as for nnU-Net.
    features = torch.randint(0, 4, (3, 5, 70, 80), generator=torch.Generator().manual_seed(0)).float()
    head = Head(torch.randint(-2, 3, (outputs, 3)).float(), torch.arange(outputs) % 3 - 1.0)
    scores = head(features.flatten(1).T)
    best, labels = torch.sort(scores, dim=1, descending=True, stable=True)
    found = sureness(features, head, model, Progress())
    assert torch.equal(found.labels.flatten().long(), labels[:, 0])
    assert torch.equal(found.seconds.flatten().long(), labels[:, 1])
    margins = torch.bucketize(best[:, 0] - best[:, 1], torch.tensor(EDGES))
    assert torch.equal(found.margins.flatten().long(), margins)
    assert torch.equal(labels_on_grid(features, head, model), found.labels)


def test_a_region_models_sureness_turns_its_closest_decision(tmp_path: Path) -> None:
    model = open_folder(make_folder(tmp_path, regions=True, labels=3))
    outputs = model.label_manager.num_segmentation_heads
    scores = torch.full((outputs, 1, 1, 1), -5.0)
    scores[0] = 2.0
    found = sureness(scores, Head.none(outputs), model, Progress())
    drawn = [0, *model.dataset["regions_class_order"]]
    assert int(found.labels) == drawn[1]
    assert int(found.seconds) == drawn[0], "without the region of which it is least sure"


def _made_up(seed: int, voxels: int = 60_000) -> tuple[Sureness, Tensor]:
    """Three structures in a background, and an original that differs the more, the smaller the margin."""
    random = np.random.default_rng(seed)
    labels, seconds = random.integers(0, 4, voxels), random.integers(1, 4, voxels)
    seconds = (labels + seconds) % 4
    margins = random.integers(0, CLASSES, voxels)
    wrong = random.random(voxels) < 0.5 * np.exp(-0.6 * margins) * (1 + (labels == 2))
    original = np.where(wrong, seconds, labels)
    level = Sureness(*(torch.from_numpy(x.astype(np.int16)) for x in (labels, seconds, margins)))
    return level, torch.from_numpy(original.astype(np.int16))


NOTHING = known(torch.zeros(0), torch.zeros(0), 4)


def test_expected_dice_is_the_dice_where_the_reliability_is_that_of_the_level() -> None:
    seen = Reliability.of(*_made_up(0), 4) + Reliability.of(*_made_up(1), 4)
    level, original = _made_up(2)
    everywhere = torch.ones(len(original), dtype=torch.bool)
    found = expected_dice(level, everywhere, NOTHING, doubt(seen, Reliability.unknown(4)))
    truth = mean_dice(original.numpy().astype(np.uint8), level.labels.numpy().astype(np.uint8))
    assert truth < 0.95
    assert found.agreement == pytest.approx(truth, abs=0.01)
    assert found.low < truth < found.high


def test_what_a_scan_shows_corrects_what_phantoms_said_and_narrows_the_interval() -> None:
    level, original = _made_up(2)
    wrong_idea = Reliability(np.full((4, CLASSES), 1e4), np.full((4, CLASSES), 200.0))
    everywhere = torch.ones(len(original), dtype=torch.bool)
    truth = mean_dice(original.numpy().astype(np.uint8), level.labels.numpy().astype(np.uint8))
    before = expected_dice(level, everywhere, NOTHING, doubt(wrong_idea, Reliability.unknown(4)))
    third = torch.arange(len(original)) % 3 == 0
    seen = known(level.labels[third], original[third], 4)
    after = expected_dice(level, ~third, seen, doubt(wrong_idea, Reliability.of(level, original, 4, third)))
    assert before.agreement - truth > 0.05
    assert abs(after.agreement - truth) < (before.agreement - truth) / 2


def test_dice_is_the_truth_where_everything_is_known() -> None:
    level, original = _made_up(3)
    nowhere = torch.zeros(len(original), dtype=torch.bool)
    found = expected_dice(
        level, nowhere, known(level.labels, original, 4), doubt(Reliability.unknown(4), Reliability.unknown(4))
    )
    truth = mean_dice(original.numpy().astype(np.uint8), level.labels.numpy().astype(np.uint8))
    assert found.agreement == found.low == found.high == pytest.approx(truth, abs=1e-9)


def test_reliability_is_kept_as_it_is() -> None:
    seen = Reliability.of(*_made_up(0), 4)
    again = Reliability.from_json(seen.to_json())
    np.testing.assert_array_equal(again.log_odds, seen.log_odds)
    assert seen.known and not Reliability.unknown(4).known

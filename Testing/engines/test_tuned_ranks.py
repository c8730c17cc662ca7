"""Ranks fitted to a computer: never slower than the layer was or than a level above, and the most accurate as fast."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from pytest import approx
from support.preparing import prepared_by
from support.trained_folders import make_folder
from torch import nn

from TuckerSegLib.decomposition.budget import Budget
from TuckerSegLib.decomposition.counting import convolutions, input_shapes
from TuckerSegLib.decomposition.policies import Chosen, Relative
from TuckerSegLib.decomposition.tucker import Convolution, Ranks
from TuckerSegLib.engines.layer_seconds import layer_seconds, seconds_of
from TuckerSegLib.engines.layer_times import LayerTimes, cropped
from TuckerSegLib.engines.tuned_ranks import tuned
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.segmentation.named_policies import policy_of
from TuckerSegLib.segmentation.recipes import Tuned
from TuckerSegLib.store import Store

DENSE = 100.0


class Told(LayerTimes):
    """Times that a test decides on."""

    def __init__(self, seconds: dict[Ranks | None, float], otherwise: float) -> None:
        self._told, self._otherwise = seconds, otherwise

    def seconds(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> float:
        return self._told.get(ranks, self._otherwise)

    def measure(self, *_: object) -> None:
        pass

    def is_known(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> bool:
        return ranks in self._told

    def keep(self) -> None:
        pass


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), features=(40, 60)))


def ranks_of(model: TrainedModel, factor: float, times: LayerTimes) -> dict[str, Ranks]:
    layers = convolutions(model.network_without_data())
    return tuned(model, Relative(factor), times).choose(layers)


def test_layers_that_gain_nothing_stay_as_they_are(model: TrainedModel) -> None:
    assert tuned(model, Relative(0.3), Told({None: DENSE}, 2 * DENSE)) == Relative(1.0)


def test_of_ranks_that_take_as_long_the_most_accurate_are_taken(model: TrainedModel) -> None:
    times = Told({None: DENSE, Ranks(12, 12): 50, Ranks(16, 16): 50.5}, 70)

    chosen = ranks_of(model, 0.3, times)

    assert chosen["encoder.stages.0.0.convs.1.conv"] == Ranks(16, 16)


def test_a_level_takes_what_was_faster_at_a_level_above(model: TrainedModel) -> None:
    above = Ranks(20, 20)
    times = Told({None: DENSE, above: 10}, 70)

    assert ranks_of(model, 0.3, times)["encoder.stages.0.0.convs.1.conv"] == above


def test_ranks_are_never_below_the_published(model: TrainedModel, tmp_path: Path) -> None:
    layers = convolutions(model.network_without_data())
    published = Relative(0.3).choose(layers)

    chosen = tuned(model, Relative(0.3), LayerTimes(Store(tmp_path))).choose(layers)

    for name, ranks in chosen.items():
        assert ranks.out >= published[name].out
        assert ranks.into >= published[name].into


def test_what_was_measured_is_not_measured_again(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tuned(model, Relative(0.3), LayerTimes(Store(tmp_path)))
    monkeypatch.setattr("TuckerSegLib.engines.timing.bench.Bench.prepared", lambda *_: pytest.fail("measured again"))

    assert tuned(model, Relative(0.3), LayerTimes(Store(tmp_path))) == first


def test_other_ranks_are_other_settings() -> None:
    """So that the cache tells them apart."""
    level = Relative(0.3)
    settings = [Chosen({"a": Ranks(*pair)}, level.settings).settings for pair in ((8, 8), (8, 16))]

    assert settings[0] != settings[1] != level.settings
    assert Tuned(level).settings != level.settings


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_engines_that_were_not_timed_run_the_published_ranks(engine: str, model: TrainedModel, tmp_path: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    made = prepared_by(Tuned(Relative(0.5)), model, tmp_path, engine).model

    assert made.compression is not None
    assert made.compression.policy == Relative(0.5).settings


def test_inputs_are_cropped_only_where_they_are_large() -> None:
    assert cropped((1, 10, 20, 30)) == (1, 10, 20, 30)
    channels, *spatial = cropped((32, 112, 112, 128))
    assert channels == 32
    assert torch.Size(spatial).numel() <= 250_000 < 2 * torch.Size(spatial).numel()


def test_2d_layers_are_timed_too(tmp_path: Path) -> None:
    times = LayerTimes(Store(tmp_path))

    assert times.seconds(nn.Conv2d(4, 8, 3, padding=1), (4, 16, 16), Ranks(4, 2)) > 0


class Bilinear(LayerTimes):
    """Times in proportion to multiply-adds in whole blocks of eight channels, decomposed or not; none is measured."""

    def __init__(self, slower: float = 1.0) -> None:
        self._slower = slower

    def seconds(self, layer: Convolution, shape: tuple[int, ...], ranks: Ranks | None) -> float:
        voxels, taps = math.prod(cropped(shape)[1:]), math.prod(layer.kernel_size)
        if ranks is None:
            return 1e-9 * voxels * taps * layer.out_channels * layer.in_channels
        out, into = (-(-rank // 8) * 8 for rank in ranks)
        work = layer.in_channels * into + taps * out * into + layer.out_channels * out
        return self._slower * 1e-9 * voxels * work

    def measure(self, *_: object) -> None:
        pass

    def keep(self) -> None:
        pass


def layers_of(model: TrainedModel) -> dict[str, Convolution]:
    return convolutions(model.network_without_data())


def budget(model: TrainedModel, share: float, times: LayerTimes) -> Budget:
    return Budget(share=share, measure="seconds", seconds=layer_seconds(model, times))


def test_a_few_measured_ranks_tell_what_every_rank_takes(model: TrainedModel) -> None:
    times = Bilinear()
    layers, shapes = layers_of(model), input_shapes(model.network_without_data(), (1, *model.patch_size))
    for name, taken in layer_seconds(model, times).items():
        layer, shape = layers[name], shapes[name]
        assert taken.dense == approx(times.seconds(layer, shape, None))
        for out, into in itertools.product({8, 16, 32, 5, 17}, repeat=2):
            if out <= layer.out_channels and into <= layer.in_channels:
                assert taken.decomposed[out - 1, into - 1] == approx(times.seconds(layer, shape, Ranks(out, into)))


def test_an_input_that_is_timed_in_part_counts_whole() -> None:
    layer, shape = nn.Conv3d(16, 16, 3), (16, 200, 100, 100)
    whole, part = math.prod(shape), math.prod(cropped(shape))
    taken = seconds_of(layer, shape, Bilinear())
    assert taken.dense == approx(1e-9 * 27 * 16 * whole) and whole > part


@pytest.mark.parametrize("share", [0.6, 0.4])
def test_a_budget_of_seconds_is_kept_and_loses_less_than_published_ranks_that_take_as_long(
    model: TrainedModel, share: float
) -> None:
    network = model.network()
    network.load_state_dict(model.load_weights()[0])
    layers, policy = convolutions(network), budget(model, share, Bilinear())
    ranks = policy.choose(layers)
    published = next(
        found
        for percent in range(99, 0, -1)
        if policy.cost(layers, found := Relative(percent / 100).choose(layers)) <= share * policy.cost(layers, {})
    )
    assert policy.cost(layers, ranks) <= share * policy.cost(layers, {})
    assert policy.predicted_error(layers, ranks) <= policy.predicted_error(layers, published)
    assert all(rank % 8 == 0 or rank in (1, 40, 60) for pair in ranks.values() for rank in pair), "what comes for free"


def test_layers_that_take_longer_in_three_parts_stay_as_they_are(model: TrainedModel) -> None:
    layers, policy = layers_of(model), Budget(0.3, measure="seconds", seconds=layer_seconds(model, Bilinear(100)))
    network = model.network()
    network.load_state_dict(model.load_weights()[0])
    assert policy.choose(convolutions(network)) == {} and policy.cost(layers, {}) > 0


def test_a_budget_of_other_seconds_is_another_policy(model: TrainedModel, tmp_path: Path) -> None:
    same, other = (budget(model, 0.5, times) for times in (Bilinear(), Bilinear(1.01)))
    again, cache = budget(model, 0.5, Bilinear()), Cache(tmp_path)
    assert cache.path_of(model, same) == cache.path_of(model, again) != cache.path_of(model, other)


def test_a_budget_of_seconds_is_made_by_its_name(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path))
    monkeypatch.setattr(LayerTimes, "seconds", Bilinear().seconds)
    monkeypatch.setattr(LayerTimes, "measure", Bilinear().measure)
    made = policy_of("budget", model, share=0.5, measure="seconds")
    assert made.settings == budget(model, 0.5, Bilinear()).settings

"""One calibration for all levels, and every position of the slider: no slower than the published, no less accurate."""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pytest import MonkeyPatch, approx, fixture, mark, raises
from support.architectures import small
from support.patches import smooth
from torch import Tensor, nn

from TuckerSegLib.decomposition.budget import Seconds
from TuckerSegLib.decomposition.calibration import gathering
from TuckerSegLib.decomposition.calibration.correction import Originals, build
from TuckerSegLib.decomposition.calibration.gathering import gather
from TuckerSegLib.decomposition.calibration.record import CalibrationRecord
from TuckerSegLib.decomposition.counting import convolutions, input_shapes
from TuckerSegLib.decomposition.frontier import Choice, RanksByName, Trained, frontier
from TuckerSegLib.decomposition.network import chosen_ranks
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.decomposition.spectra import Values
from TuckerSegLib.decomposition.tucker import Convolution, Ranks, TuckerConv
from TuckerSegLib.engines.base import Source
from TuckerSegLib.engines.fused.engine import FusedEngine
from TuckerSegLib.engines.timing.part_times import PartTimes
from TuckerSegLib.engines.timing.whole_times import network_seconds
from TuckerSegLib.errors import Cancelled, ModelError
from TuckerSegLib.progress import Progress
from TuckerSegLib.store import Store

FACTORS = (0.9, 0.7, 0.5, 0.3, 0.1)


@fixture(scope="module")
def network() -> nn.Module:
    return small()


@fixture(scope="module")
def layers(network: nn.Module) -> dict[str, Convolution]:
    return convolutions(network)


@fixture(scope="module")
def patches() -> Tensor:
    return smooth(4, 0)


@fixture(scope="module")
def record(network: nn.Module, patches: Tensor) -> CalibrationRecord:
    return gather(network, patches)


def distance(network: nn.Module, other: nn.Module) -> float:
    x = smooth(2, 1)
    with torch.no_grad():
        return float((network(x) - other(x)).norm() / network(x).norm())


def halves(layers: dict[str, Convolution]) -> dict[str, Ranks]:
    return Relative(0.5, minimum=2).choose(layers)


def test_on_data_it_never_saw_a_corrected_level_is_closer_than_the_records_own_and_that_of_the_weights(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord, patches: Tensor
) -> None:
    ranks = halves(layers)
    by_weights = Relative(0.5, minimum=2).compress(network)[0]
    by_record, corrected = (
        build(network, record, ranks)[0],
        build(network, record, ranks, Originals(network, patches))[0],
    )
    assert distance(network, corrected) < 0.9 * distance(network, by_weights)
    assert distance(network, corrected) < distance(network, by_record)


def test_at_full_ranks_nothing_is_lost(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord
) -> None:
    ranks = {name: Ranks(layer.out_channels, layer.in_channels) for name, layer in layers.items()}
    assert distance(network, build(network, record, ranks)[0]) < 1e-3


def test_layers_without_ranks_stay_as_they_are(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord, patches: Tensor
) -> None:
    name = next(iter(layers))
    level, report = build(network, record, {name: halves(layers)[name]}, Originals(network, patches))
    assert list(chosen_ranks(report)) == [name]
    untouched = [other for other in layers if other != name]
    for other in untouched:
        assert torch.equal(level.get_submodule(other).weight, layers[other].weight)  # type: ignore[arg-type]


def test_the_same_patches_give_the_same_record_and_the_same_level(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord, patches: Tensor
) -> None:
    again = gather(network, patches)
    for name, layer in record.layers.items():
        assert torch.equal(layer.basis, again.layers[name].basis)
        assert torch.equal(layer.errors, again.layers[name].errors)
    one, other = (build(network, record, halves(layers), Originals(network, patches))[0] for _ in range(2))
    assert distance(one, other) == 0


def test_layers_that_do_not_fit_into_memory_together_give_the_same_record(
    network: nn.Module, patches: Tensor, record: CalibrationRecord, monkeypatch: MonkeyPatch
) -> None:
    """Those of a network at full width, added up at once, took six gigabytes."""
    monkeypatch.setattr(gathering, "_AT_ONCE", 1)
    assert len(gathering._groups(convolutions(network))) > 3
    again = gather(network, patches)
    for name, layer in record.layers.items():
        assert torch.equal(layer.errors, again.layers[name].errors)


def test_a_record_comes_back_from_its_file(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord, tmp_path: Path
) -> None:
    record.save(tmp_path / "record", {"model": "one"})
    read = CalibrationRecord.load(tmp_path / "record", {"model": "one"})
    ranks = halves(layers)
    assert distance(build(network, record, ranks)[0], build(network, read, ranks)[0]) == 0


def test_a_record_of_another_model_or_a_damaged_one_is_refused(record: CalibrationRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "record", {"model": "one"})
    with raises(ModelError, match="another model"):
        CalibrationRecord.load(tmp_path / "record", {"model": "other"})
    (tmp_path / "record").write_bytes((tmp_path / "record").read_bytes()[:1000])
    with raises(ModelError, match="prepare the model again"):
        CalibrationRecord.load(tmp_path / "record")
    with raises(ModelError, match="another network"):
        record.check({name: nn.Conv3d(1, 1, 1) for name in record.layers})


def test_a_record_holds_far_less_than_the_network(
    network: nn.Module, record: CalibrationRecord, tmp_path: Path
) -> None:
    record.save(tmp_path / "record")
    wide = [name for name, layer in convolutions(network).items() if min(layer.weight.shape[:2]) >= 8]
    numbers = sum(tensor.numel() for name in wide for tensor in vars(record.layers[name]).values())
    assert numbers < 0.3 * sum(convolutions(network)[name].weight.numel() for name in wide)


def test_errors_fall_with_the_ranks_and_nothing_is_lost_at_all_of_them(record: CalibrationRecord) -> None:
    for errors in record.errors.values():
        assert (np.diff(errors, axis=0) <= 0).all()
        assert (np.diff(errors, axis=1) <= 0).all()
        assert errors[-1, -1] <= 0.05 * errors[0, 0]


def test_whoever_is_told_of_the_progress_can_stop_it(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord, patches: Tensor
) -> None:
    progress = Progress()
    progress.cancel()
    with raises(Cancelled):
        gather(network, patches, progress)
    with raises(Cancelled):
        build(network, record, halves(layers), Originals(network, patches), progress)


def test_one_patch_is_too_few(network: nn.Module) -> None:
    with raises(ValueError, match="two patches"):
        gather(network, smooth(1, 0))


def made_up(layers: dict[str, Convolution], record: CalibrationRecord) -> dict[str, Seconds]:
    """A computer on which multiply-adds are all that takes time."""

    def of(layer: Convolution) -> Seconds:
        out, into = np.arange(1.0, layer.out_channels + 1)[:, None], np.arange(1.0, layer.in_channels + 1)
        voxels = float(np.prod(layer.kernel_size))
        decomposed: Values = 1e-6 * (layer.in_channels * into + voxels * out * into + layer.out_channels * out)
        return Seconds(1e-6 * layer.weight.numel(), decomposed)

    return {name: of(layer) for name, layer in layers.items()}


@mark.parametrize("noise", [0.0, 0.2])
def test_no_position_is_slower_than_the_published_level_or_the_one_above_and_none_is_predicted_to_lose_more(
    layers: dict[str, Convolution], record: CalibrationRecord, noise: float
) -> None:
    seconds = made_up(layers, record)
    choice, random = Choice(layers, seconds, record.errors), np.random.default_rng(0)
    told: dict[str, float] = {}

    def measure(many: Sequence[RanksByName]) -> list[float]:
        """Networks take up to a fifth more than their layers."""
        for ranks in many:
            told.setdefault(str(ranks), choice.seconds(ranks) * (1.1 + noise * random.random()))
        return [told[str(ranks)] for ranks in many]

    original, *found = frontier(layers, seconds, record.errors, FACTORS, measure, minimum=2)
    assert (original.factor, original.ranks, original.error) == (1.0, {}, 0.0)
    assert [position.factor for position in found] == list(FACTORS)
    above = measure([{}])[0]
    for position in found:
        published = Relative(position.factor, minimum=2).choose(layers)
        assert measure([position.ranks])[0] <= min(above, measure([published])[0])
        assert position.error <= choice.error(published)
        above = position.seconds


def test_where_nothing_else_is_as_fast_the_published_ranks_are_kept(
    layers: dict[str, Convolution], record: CalibrationRecord
) -> None:
    published = Relative(0.5, minimum=2).choose(layers)

    def measure(many: Sequence[RanksByName]) -> list[float]:
        return [1.0 if ranks == published else 2.0 for ranks in many]

    _, found = frontier(layers, made_up(layers, record), record.errors, (0.5,), measure, minimum=2)
    assert found.ranks == published
    assert found.seconds == 1.0


def test_a_lucky_time_does_not_make_a_position(layers: dict[str, Convolution], record: CalibrationRecord) -> None:
    """The first time that a choice is measured it seems half as slow as it is; the published levels are steady."""
    seconds = made_up(layers, record)
    choice = Choice(layers, seconds, record.errors)
    published = [Relative(factor, minimum=2).choose(layers) for factor in FACTORS]
    seen: set[str] = set()

    def measure(many: Sequence[RanksByName]) -> list[float]:
        found = []
        for ranks in many:
            lucky = ranks and ranks not in published and str(ranks) not in seen
            found.append(choice.seconds(ranks) * (0.5 if lucky else 1.0))
            seen.add(str(ranks))
        return found

    for position in frontier(layers, seconds, record.errors, FACTORS, measure, minimum=2):
        if position.ranks and position.ranks not in published:
            assert choice.seconds(position.ranks) <= position.limit


def test_a_level_that_was_trained_is_chosen_wherever_it_is_fast_enough_and_loses_less(
    layers: dict[str, Convolution], record: CalibrationRecord
) -> None:
    seconds = made_up(layers, record)
    choice = Choice(layers, seconds, record.errors)
    lower = Relative(0.3, minimum=2).choose(layers)

    def measure(many: Sequence[RanksByName]) -> list[float]:
        return [choice.seconds(ranks) for ranks in many]

    def at(factors: Sequence[float], left: float) -> list[RanksByName]:
        trained = [Trained(lower, left)]
        found = frontier(layers, seconds, record.errors, factors, measure, minimum=2, trained=trained)
        return [position.ranks for position in found[1:]]

    assert at((0.5, 0.3), left=0.0) == [lower, lower]
    assert at((0.1,), left=0.0) != [lower]
    assert at((0.5,), left=1.0) != [lower]


def test_what_parts_of_layers_take_is_measured_once_on_a_computer(
    network: nn.Module, layers: dict[str, Convolution], tmp_path: Path
) -> None:
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1

    few = dict(list(layers.items())[:3])
    shapes = input_shapes(network, (1, 16, 16, 16))
    first = PartTimes(Store(tmp_path), check).of_layers(few, shapes)
    assert checks > 0
    measured, checks = checks, 0
    again = PartTimes(Store(tmp_path), check).of_layers(few, shapes)
    assert measured > 0
    assert checks == 0
    for name, layer in few.items():
        assert first[name].decomposed.shape == (layer.out_channels, layer.in_channels)
        assert (first[name].decomposed > 0).all()
        assert again[name].dense == first[name].dense > 0


def test_whole_networks_are_timed_in_turns() -> None:
    times = network_seconds([lambda: small().to("meta")] * 2, (1, 16, 16, 16))
    assert len(times) == 2
    assert min(times) > 0


def test_where_all_outputs_are_kept_the_engine_has_no_last_and_gives_the_same(
    network: nn.Module, layers: dict[str, Convolution], record: CalibrationRecord
) -> None:
    ranks = {
        name: Ranks(layer.out_channels, max(1, layer.in_channels // 2))
        for name, layer in layers.items()
        if layer.kernel_size != (1, 1, 1)
    }
    level = build(network, record, ranks)[0]
    lasts = [module.last for module in level.modules() if isinstance(module, TuckerConv)]
    assert all(torch.equal(last.weight.flatten(1), torch.eye(last.out_channels)) for last in lasts)
    x = smooth(1, 2)
    prepared = FusedEngine().prepare(Source("", lambda: level, tuple(x.shape[1:])), torch.device("cpu"))
    with torch.no_grad():
        wanted = level(x)
    assert prepared(x) == approx(wanted, abs=1e-4 * float(wanted.abs().max()))
    pointwise = [m for m in prepared._network.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (1, 1, 1)]
    assert len(pointwise) < 2 * len(lasts)

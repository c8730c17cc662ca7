"""The agreement that a level is said to have is measured once, and shown with the level."""

from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import torch
from pytest import MonkeyPatch, TempPathFactory, fixture
from support.preparing import prepared_model
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.counting import convolutions
from TuckerSegLib.decomposition.frontier import Position
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.engines.fastest import choice
from TuckerSegLib.inference.check.reliability import Reliability
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.checking import Originals
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.slider import agreement
from TuckerSegLib.segmentation.slider.agreement import Expectations, Expected, levels_with_agreement
from TuckerSegLib.segmentation.slider.calibrations import Calibrations
from TuckerSegLib.segmentation.slider.positions import settings_of
from TuckerSegLib.store import Store
from TuckerSegLib.volumes.phantoms import seeds
from TuckerSegLib.volumes.volume import Geometry, Volume


@fixture(scope="module")
def model(tmp_path_factory: TempPathFactory) -> TrainedModel:
    torch.manual_seed(0)
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), spacing=(8, 8, 8)))


def test_it_is_measured_once_and_then_known(model: TrainedModel, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "AGREEMENT", range(2004, 2005))
    cache, policy = Cache(tmp_path), Relative(0.5)
    level = partial(prepared_model, model, tmp_path, policy)
    expectations = Expectations(model, cache)
    assert expectations.known(policy.settings) is None
    assert {level.agreement for level in levels_with_agreement(model, cache)} == {1.0, None}
    found = expectations.measured(policy.settings, level)
    assert 0 <= found.agreement <= 1 and found.how == "1 phantoms" and found.reliability.known
    monkeypatch.setattr(agreement, "learnt", None)
    again = Expectations(model, cache)
    for one in (again.known(policy.settings), again.measured(policy.settings, level)):
        assert one is not None and one.as_json() == found.as_json()


def test_the_levels_of_a_prepared_model_are_those_that_run_with_seconds_and_what_was_measured(
    model: TrainedModel, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    voxels = np.random.default_rng(0).normal(50, 300, (1, 20, 18, 16)).astype(np.float32)
    image = Volume(voxels, Geometry((20, 18, 16), np.diag([8.0, 8.0, 8.0, 1.0])))
    cache = Cache(tmp_path)
    calibrations = Calibrations(model, cache, [image])
    calibrations.gather(Progress())
    ranks = Relative(0.5).choose(convolutions(model.network_without_data()))
    chosen = [Position(1.0, {}, 2.0, 2.0, 0.0), Position(0.5, ranks, 0.5, 0.5, 0.1)]
    monkeypatch.setattr(agreement, "known_positions", lambda *_: chosen)
    shown = [(x.factor, x.seconds, x.times_faster, x.agreement) for x in levels_with_agreement(model, cache)]
    assert shown == [(1.0, 2.0, 1.0, 1.0), (0.5, 0.5, 4.0, None)]
    settings = settings_of(0.5, ranks, calibrations.learnt())
    nothing = Expected(0.7, "1 phantoms", Reliability.unknown(6))
    monkeypatch.setattr(Expectations, "known", lambda _, asked: nothing if asked == settings else None)
    assert [x.agreement for x in levels_with_agreement(model, cache)] == [1.0, 0.7]


def test_what_was_learnt_of_a_level_is_what_its_check_begins_with(
    model: TrainedModel, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "AGREEMENT", range(2004, 2005))
    cache, policies = Cache(tmp_path), (Relative(0.5), Relative(0.4))
    first, second = (prepared_model(model, tmp_path, policy) for policy in policies)
    Expectations(model, cache).measured(policies[0].settings, lambda: first)
    engines = choice("torch", "cpu", Store(tmp_path))
    for level, known in ((first, True), (second, False)):
        checked = Originals().checked(level, model, Request(factor=0.5), engines, cache)
        assert checked.check is not None and checked.check.wanted.reliability.known == known


def test_what_only_the_first_check_takes_is_no_part_of_what_a_check_takes(
    tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    """The time that is shown beside the slider is that of a run whose networks are ready."""
    prepare = Originals._prepare

    def slow(*of: Any) -> Any:
        sleep(3)
        return prepare(*of)

    monkeypatch.setattr(Originals, "_prepare", slow)
    voxels = np.random.default_rng(0).normal(50, 300, (1, 20, 18, 16)).astype(np.float32)
    image = Volume(voxels, Geometry((20, 18, 16), np.diag([8.0, 8.0, 8.0, 1.0])))
    found = Session(Cache(tmp_path)).segment(image, Request(str(make_folder(tmp_path, spacing=(8, 8, 8))), 0.5))
    assert found.check is not None and found.check.windows
    assert found.seconds["load"] > 3 > found.seconds["check"]
    assert next(iter(found.seconds)) == "load"

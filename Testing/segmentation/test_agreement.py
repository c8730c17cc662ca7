"""The agreement that a level is said to have is measured once, and shown with the level."""

from functools import partial
from pathlib import Path

import torch
from pytest import MonkeyPatch, TempPathFactory, approx, fixture
from support.preparing import prepared_model
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.segmentation import agreement
from TuckerSegLib.segmentation.agreement import known, predicted, with_agreement
from TuckerSegLib.segmentation.levels import levels
from TuckerSegLib.volumes.phantoms import seeds


@fixture(scope="module")
def model(tmp_path_factory: TempPathFactory) -> TrainedModel:
    torch.manual_seed(0)
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), spacing=(8, 8, 8)))


def test_it_is_measured_once_and_then_known(model: TrainedModel, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "AGREEMENT", range(2004, 2005))
    cache, policy = Cache(tmp_path), Relative(0.5)
    level = partial(prepared_model, model, tmp_path, policy)
    assert known(model, policy.settings, cache) is None
    assert with_agreement(levels(model, (1.0, 0.5)), model, cache)[1].agreement is None
    found = predicted(model, policy.settings, level, cache)
    assert 0 <= found.agreement <= 1 and found.how == "1 phantoms"
    monkeypatch.setattr(agreement, "_measured", None)
    assert known(model, policy.settings, cache) == predicted(model, policy.settings, level, cache) == found
    shown = [level.agreement for level in with_agreement(levels(model, (1.0, 0.5)), model, cache)]
    assert shown == approx([1.0, found.agreement])

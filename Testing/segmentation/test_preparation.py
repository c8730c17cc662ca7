"""A model is prepared once for all positions of the slider, and what was learnt about it can be carried elsewhere."""

from pathlib import Path

import numpy as np
import torch
from pytest import MonkeyPatch, fixture, raises
from safetensors.torch import load_file
from support.trained_folders import make_folder

from TuckerSegLib.errors import Cancelled, InputError, ModelError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.slider import calibrations
from TuckerSegLib.volumes.volume import Geometry, Volume

SHAPE = (20, 18, 16)


def volume(seed: int) -> Volume:
    voxels = np.random.default_rng(seed).normal(50, 300, (1, *SHAPE)).astype(np.float32)
    return Volume(voxels, Geometry(SHAPE, np.diag([1.5, 1.5, 1.5, 1.0])))


@fixture(autouse=True)
def quick_phantoms(monkeypatch: MonkeyPatch) -> None:
    """Whole phantoms take seconds each."""
    monkeypatch.setattr(calibrations, "volumes_of", lambda _: [volume(seed) for seed in range(2)])


@fixture
def model(tmp_path: Path) -> str:
    return str(make_folder(tmp_path / "model", features=(16, 32), patch_size=(16, 16, 16)))


def session(folder: Path) -> Session:
    return Session(Cache(folder))


def policy(here: Session, model: str) -> object:
    return here.segment(volume(5), Request(model, factor=0.3, engine="fused")).policy["policy"]


def test_a_prepared_model_is_segmented_by_what_was_learnt_and_another_by_the_published_ranks(
    model: str, tmp_path: Path
) -> None:
    here = session(tmp_path / "cache")
    assert policy(here, model) == "relative"
    (prepared,) = here.prepare(model)
    assert [position.factor for position in prepared.positions] == [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    above = prepared.positions[0].seconds
    for position in prepared.positions[1:]:
        assert position.seconds <= min(above, position.limit)
        above = position.seconds
    assert policy(session(tmp_path / "cache"), model) in ("frontier", "relative")
    chosen = prepared.positions[5].ranks
    assert (policy(session(tmp_path / "cache"), model) == "frontier") == bool(chosen)


def test_what_was_learnt_is_taken_to_another_computer_as_it_is(model: str, tmp_path: Path) -> None:
    file = tmp_path / "learnt.safetensors"
    here, there = session(tmp_path / "here"), session(tmp_path / "there")
    with raises(ModelError, match="not prepared"):
        here.export_calibration(model, file)
    here.prepare(model)
    here.export_calibration(model, file)
    there.import_calibration(model, file)
    again = tmp_path / "again.safetensors"
    there.export_calibration(model, again)
    ours, theirs = (load_file(path) for path in (file, again))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_record_of_another_model_or_no_record_at_all_is_refused(model: str, tmp_path: Path) -> None:
    here, file = session(tmp_path / "cache"), tmp_path / "learnt.safetensors"
    here.prepare(model)
    here.export_calibration(model, file)
    other = str(make_folder(tmp_path / "other", patch_size=(16, 16, 16), seed=1))
    with raises(ModelError, match="no calibration of"):
        here.import_calibration(other, file)
    (tmp_path / "text").write_text("nothing")
    with raises(ModelError, match="no calibration of"):
        here.import_calibration(model, tmp_path / "text")


def test_a_cancelled_preparation_leaves_nothing_that_passes_for_done(model: str, tmp_path: Path) -> None:
    here, progress = session(tmp_path / "cache"), Progress()
    progress.cancel()
    with raises(Cancelled):
        here.prepare(model, progress)
    assert policy(here, model) == "relative"


def test_a_model_that_no_phantom_fits_is_refused_before_the_work(tmp_path: Path) -> None:
    several = str(make_folder(tmp_path / "model", channels=2, patch_size=(16, 16, 16)))
    with raises(InputError, match="one channel"):
        session(tmp_path / "cache").prepare(several)

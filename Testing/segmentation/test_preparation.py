"""A model is prepared once for all positions of the slider, and what was learnt about it can be carried elsewhere."""

import json
from pathlib import Path

import numpy as np
import torch
from pytest import MonkeyPatch, approx, fail, fixture, raises
from safetensors import safe_open
from safetensors.torch import load_file
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.counting import convolutions
from TuckerSegLib.decomposition.frontier import Position
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.decomposition.tucker import Ranks
from TuckerSegLib.errors import Cancelled, InputError, ModelError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.nnunet import digest
from TuckerSegLib.models.opening import open_model
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.slider import calibrations, improve, positions, preparation
from TuckerSegLib.segmentation.slider.trained_levels import TrainedLevels
from TuckerSegLib.training.images import preprocess_all
from TuckerSegLib.volumes.formats.nifti import write_nifti
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


def test_the_first_use_of_a_model_prepares_it_on_the_scan_and_the_next_finds_that(model: str, tmp_path: Path) -> None:
    here, stages = session(tmp_path / "cache"), list[str]()
    progress = Progress(lambda event: stages.append(event.stage))
    found = here.segment(volume(5), Request(model, factor=0.3, engine="fused"), progress)
    assert found.policy["policy"] in ("frontier", "relative") and "calibrate" in stages
    stages.clear()
    session(tmp_path / "cache").segment(volume(6), Request(model, factor=0.2, engine="fused"), progress)
    record = next((tmp_path / "cache" / "calibrations").iterdir())
    written = record.stat().st_mtime_ns
    assert session(tmp_path / "cache").prepare(model)
    assert record.stat().st_mtime_ns == written


def test_a_model_that_no_phantom_fits_is_prepared_on_the_users_images(tmp_path: Path) -> None:
    several = str(make_folder(tmp_path / "model", channels=2, patch_size=(16, 16, 16)))
    voxels = np.concatenate([volume(1).voxels, volume(2).voxels])
    found = session(tmp_path / "cache").segment(
        Volume(voxels, volume(1).geometry), Request(several, factor=0.3, engine="fused")
    )
    assert found.policy["policy"] in ("frontier", "relative")


@fixture
def one_level(model: str, tmp_path: Path, monkeypatch: MonkeyPatch) -> dict[str, Ranks]:
    """The ranks of the only level that the model's positions have; an image to train on is beside the model."""
    ranks = Relative(0.3, 4).choose(convolutions(open_model(model).network_without_data()))
    found = [Position(1.0, {}, 2.0, 2.0, 0.0), Position(0.3, ranks, 1.0, 1.0, 0.5)]
    monkeypatch.setattr(positions, "LITTLE", 0)
    monkeypatch.setattr(positions, "known_positions", lambda *_: found)
    for where in (preparation, improve):
        monkeypatch.setattr(where, "chosen_here", lambda *_: found)
    write_nifti(volume(1).voxels[0], volume(1).geometry, tmp_path / "image.nii.gz")
    return ranks


def test_minutes_make_levels_better_and_the_slider_uses_them(
    model: str, tmp_path: Path, one_level: dict[str, Ranks]
) -> None:
    here = session(tmp_path / "cache")
    here.prepare(model, images=[str(tmp_path / "image.nii.gz")])
    before = here.segment(volume(5), Request(model, factor=0.3, engine="fused"))
    here.prepare(model, images=[str(tmp_path / "image.nii.gz")], minutes=0.1)
    after = here.segment(volume(5), Request(model, factor=0.3, engine="fused"))
    assert "trained" not in before.policy and float(after.policy["trained"]) < 1
    (trained,) = TrainedLevels(here.cache).choices(digest(open_model(model).load_weights()[0]))
    assert trained.ranks == one_level and 0 < trained.left < 1
    assert f"{trained.left:.6g}" == after.policy["trained"]


def test_other_images_are_not_taken_for_those_of_the_last_time(model: str, tmp_path: Path) -> None:
    """Nor one that has changed; what is there already is not made again."""
    opened, folder, path = open_model(model), tmp_path / "images", tmp_path / "image.nii.gz"
    (first,) = preprocess_all(opened, ["phantoms"], folder, phantoms=[20_000])
    found = []
    for seed in (1, 2):
        write_nifti(volume(seed).voxels[0], volume(seed).geometry, path)
        found += preprocess_all(opened, [str(path)], folder)
    assert len({first, *found}) == 3
    assert not np.array_equal(np.load(found[0]), np.load(found[1]))
    made = first.stat().st_mtime_ns
    assert preprocess_all(opened, [str(path), "phantoms"], folder, phantoms=[20_000]) == [found[1], first]
    assert first.stat().st_mtime_ns == made


def test_what_a_killed_training_gained_counts_the_next_time(
    model: str, tmp_path: Path, one_level: dict[str, Ranks], monkeypatch: MonkeyPatch
) -> None:
    here, images = session(tmp_path / "cache"), [str(tmp_path / "image.nii.gz")]
    network = digest(open_model(model).load_weights()[0])
    with monkeypatch.context() as killed:
        killed.setattr(TrainedLevels, "keep", lambda *_: None)
        here.prepare(model, images=images, minutes=0.05)
    assert not TrainedLevels(here.cache).choices(network)
    here.prepare(model, images=images, minutes=1e-6)
    (trained,) = TrainedLevels(here.cache).choices(network)
    (state,) = (tmp_path / "cache" / "improving").glob("*/*/*.safetensors")
    with safe_open(state, "pt") as file:
        standing = json.loads(file.metadata()["standing"])
    assert trained.left == approx(standing["best"] / standing["first"]) and trained.left < 1


def test_a_prepared_model_is_segmented_by_what_was_learnt(model: str, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "LITTLE", 0)
    here = session(tmp_path / "cache")
    (prepared,) = here.prepare(model)
    assert [position.factor for position in prepared.positions] == [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    above = prepared.positions[0].seconds
    for position in prepared.positions[1:]:
        assert position.seconds <= min(above, position.limit)
        above = position.seconds
    assert policy(session(tmp_path / "cache"), model) in ("frontier", "relative")
    chosen = prepared.positions[5].ranks
    assert (policy(session(tmp_path / "cache"), model) == "frontier") == bool(chosen)


def test_it_is_prepared_for_as_many_cores_as_a_run_takes(model: str, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "LITTLE", 0)
    here, threads = session(tmp_path / "cache"), torch.get_num_threads()
    policy(here, str(make_folder(tmp_path / "other", patch_size=(16, 16, 16))))  # now it is known what is usual
    torch.set_num_threads(threads + 1)  # as whoever calls the library may have done
    try:
        here.prepare(model)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(positions, "_measured", lambda *_: fail("a run measures what was prepared"))
    assert policy(here, model) in ("frontier", "relative")


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
    assert not list((tmp_path / "cache").glob("calibrations/*"))


def test_a_model_that_no_phantom_fits_is_refused_before_the_work(tmp_path: Path) -> None:
    several = str(make_folder(tmp_path / "model", channels=2, patch_size=(16, 16, 16)))
    with raises(InputError, match="one channel"):
        session(tmp_path / "cache").prepare(several)

"""The sample that needs no download: phantoms that look and are labelled like CT, and a network trained on them."""

import csv
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.paths import ROOT

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models import sample
from TuckerSegLib.models.sample import SAMPLE, SMALL_SAMPLE, sample_model_folder
from TuckerSegLib.volumes.phantoms.phantom import Phantom, phantom
from TuckerSegLib.volumes.phantoms.seeds import SAMPLE_TEST, TESTS, TRAINING
from TuckerSegLib.volumes.phantoms.tissues import LABELS

TORSO, OTHER, SMALL = TESTS[18], TRAINING[3], TESTS[148]
"""Seeds: a scan from the pelvis to the neck, another, and a chest of few voxels that the model never saw."""


@pytest.fixture(scope="module")
def torso() -> Phantom:
    return phantom(TORSO)


@pytest.fixture(scope="module")
def other() -> Phantom:
    return phantom(OTHER)


def voxels_of(made: Phantom, name: str) -> npt.NDArray[np.float32]:
    inside: npt.NDArray[np.float32] = made.image.voxels[0].astype(np.float32)[made.truth.labels == LABELS[name]]
    return inside


def centre_ras(made: Phantom, name: str) -> npt.NDArray[np.float64]:
    kji = np.argwhere(made.truth.labels == LABELS[name]).mean(0)
    centre: npt.NDArray[np.float64] = (made.truth.geometry.ijk_to_ras @ [*kji[::-1], 1])[:3]
    return centre


def test_a_seed_gives_the_same_phantom_again(torso: Phantom) -> None:
    again = phantom(TORSO)
    assert np.array_equal(again.image.voxels, torso.image.voxels)
    assert np.array_equal(again.truth.labels, torso.truth.labels)
    assert np.array_equal(again.image.geometry.ijk_to_ras, torso.image.geometry.ijk_to_ras)


def test_seeds_differ_in_geometry_and_content(torso: Phantom, other: Phantom) -> None:
    assert torso.image.geometry.shape != other.image.geometry.shape
    assert torso.image.geometry.spacing != other.image.geometry.spacing
    assert voxels_of(torso, "liver").size != voxels_of(other, "liver").size


def test_image_and_truth_are_on_one_grid_and_stored_as_ct_is(torso: Phantom) -> None:
    assert torso.image.voxels.dtype == np.int16
    assert torso.image.voxels.shape == (1, *torso.truth.labels.shape)
    assert torso.image.voxels.min() >= -1024
    assert 1.5 <= torso.image.geometry.spacing[0] <= 2.5
    assert 2 <= torso.image.geometry.spacing[2] <= 5


def test_a_full_torso_shows_at_least_twenty_structures(torso: Phantom) -> None:
    found = torso.truth.voxel_counts()
    assert len(found) >= 20
    assert set(found) <= set(LABELS.values())
    assert {torso.truth.names[label] for label in found} <= set(LABELS)


def test_structures_are_named_as_in_totalsegmentator() -> None:
    table = files("totalsegmentator") / "resources" / "totalsegmentator_snomed_mapping.csv"
    with table.open() as rows:
        known = {row[0] for row in csv.reader(rows)}
    assert set(LABELS) <= known
    assert sorted(LABELS.values()) == list(range(1, len(LABELS) + 1))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("liver", 25, 135),
        ("spleen", 30, 150),
        ("kidney_left", 20, 240),
        ("lung_lower_lobe_right", -920, -700),
        ("trachea", -1000, -750),
        ("heart", 30, 300),
        ("aorta", 30, 380),
        ("urinary_bladder", -5, 40),
        ("autochthon_left", 35, 80),
        ("vertebrae_lumbar", 120, 600),
        ("femur_right", 200, 700),
        ("spinal_cord", 10, 80),
    ],
)
def test_attenuation_is_what_the_tissue_has(torso: Phantom, other: Phantom, name: str, low: float, high: float) -> None:
    for made in (torso, other):
        assert low <= np.median(voxels_of(made, name)) <= high


@pytest.mark.parametrize("name", ["kidney", "hip", "femur", "autochthon", "iliopsoas", "gluteus_maximus"])
def test_left_lies_on_the_patients_left(torso: Phantom, name: str) -> None:
    assert centre_ras(torso, f"{name}_left")[0] < 0 < centre_ras(torso, f"{name}_right")[0]


def test_organs_lie_where_they_lie_in_a_patient(torso: Phantom) -> None:
    where = {name: centre_ras(torso, name) for name in LABELS if voxels_of(torso, name).size}
    assert where["liver"][0] > 0 > where["spleen"][0]
    assert where["aorta"][0] < where["inferior_vena_cava"][0]
    assert where["sternum"][1] > where["vertebrae_thoracic"][1]
    assert where["lung_upper_lobe_left"][2] > where["heart"][2] > where["liver"][2] > where["urinary_bladder"][2]
    assert where["lung_upper_lobe_right"][2] > where["lung_middle_lobe_right"][2]


def test_making_a_phantom_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    phantom(OTHER)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "most"), [(SAMPLE, 35e6), (SMALL_SAMPLE, 6e6)])
def test_the_model_folders_are_ordinary_nnunet_folders_and_small(name: str, most: float) -> None:
    folder = sample_model_folder(name)
    assert (folder / "dataset.json").is_file()
    assert (folder / "fold_0" / "checkpoint_final.pth").stat().st_size <= most
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= most + 37e6


@pytest.mark.parametrize("name", [SAMPLE, SMALL_SAMPLE])
def test_nobody_waits_for_the_levels_of_a_sample(name: str, tmp_path: Path) -> None:
    """They come with it: no phantom is made, nothing is timed, and nothing is fitted."""
    pytest.importorskip("nnunetv2")
    from TuckerSegLib.engines.fastest import choice
    from TuckerSegLib.models.cache import Cache
    from TuckerSegLib.models.opening import open_model
    from TuckerSegLib.segmentation.slider.calibrations import Calibrations
    from TuckerSegLib.segmentation.slider.positions import known_positions
    from TuckerSegLib.store import Store

    calibrations = Calibrations(open_model(name), Cache(tmp_path))
    learnt = calibrations.learnt()
    positions = known_positions(open_model(name), learnt, choice("fused", "cpu", Store(tmp_path)))
    assert positions and [position.factor for position in positions][:3] == [1.0, 0.9, 0.7]
    ready = [one.ranks for one in learnt.trained]
    assert all(position.ranks in ready for position in positions if position.ranks)


def test_a_missing_model_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "__file__", str(tmp_path / "site" / "TuckerSegLib" / "models" / "sample.py"))
    with pytest.raises(ModelError, match="train_sample_model"):
        sample_model_folder()


def dice_on(seeds: range) -> float:
    """Mean Dice as the training script measures it, through nnU-Net's own predictor."""
    pytest.importorskip("nnunetv2")
    script = ROOT / "Resources" / "train_sample_model.py"
    spec = spec_from_file_location("train_sample_model", script)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return float(module.evaluate(sample_model_folder(SMALL_SAMPLE), seeds))


def test_the_model_knows_a_phantom_it_never_saw() -> None:
    assert dice_on(range(SMALL, SMALL + 1)) >= 0.8


@pytest.mark.slow
def test_the_model_reaches_a_mean_dice_of_090_on_ten_phantoms_it_never_saw() -> None:
    assert dice_on(SAMPLE_TEST) >= 0.90

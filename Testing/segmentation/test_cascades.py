"""nnU-Net's cascades: the labels are those of its own two stages, one after the other."""

# mypy: allow-untyped-calls

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from support.trained_folders import make_folder

from TuckerSegLib.errors import InputError, ModelError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.compression import compress_to_file
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

pytestmark = pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::FutureWarning")

GRID = Geometry((20, 22, 24), np.diag([-1.2, -1.4, 2.0, 1.0]))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of both stages."""
    folder = tmp_path_factory.mktemp("cascade")
    first = make_folder(folder / "first", configuration="3d_lowres", spacing=(3.0, 3.0, 3.0))
    second = make_folder(folder / "second", configuration="3d_cascade_fullres", spacing=(1.5, 1.5, 1.5), seed=1)
    shutil.move(first, second.parent)
    return second.parent / first.name, second


def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(0, 300, (1, *GRID.shape)).astype(np.float32)
    voxels[:, :3] = 0  # which nnU-Net crops
    return Volume(voxels, GRID)


def nnunet(folder: Path, image: Volume, previous: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
    """What nnU-Net itself finds, given the labels of the stage before (K, J, I)."""
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, use_mirroring=False)
    predictor.initialize_from_trained_model_folder(str(folder), None, "checkpoint_final.pth")
    properties = {"spacing": list(reversed(image.geometry.spacing))}
    labels = None if previous is None else previous[np.newaxis].astype(np.float32)
    found: np.ndarray[Any, Any] = predictor.predict_single_npy_array(image.voxels, properties, labels)
    return found


def test_the_labels_are_those_of_nnunets_own_two_stages(cascade: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = cascade
    session, image = Session(Cache(tmp_path)), volume()
    found = session.segment(image, Request(str(second), engine="torch"))
    before = nnunet(first, image)
    np.testing.assert_array_equal(found.label_map.labels, nnunet(second, image, before))
    nothing = np.zeros_like(before)
    assert (found.label_map.labels != nnunet(second, image, nothing)).any()  # the first stage does matter
    assert len(np.unique(found.label_map.labels)) > 2


def test_both_stages_are_compressed(cascade: tuple[Path, Path], tmp_path: Path) -> None:
    found = Session(Cache(tmp_path)).segment(volume(), Request(str(cascade[1]), 0.5, engine="torch", exact_ranks=True))
    assert found.parameters_removed > 0
    assert len(Cache(tmp_path).entries()) == 2


def test_what_has_room_for_one_model_does_not_take_a_cascade(cascade: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a cascade of two models"):
        compress_to_file(cascade[1], tmp_path / "small.tuckerseg")
    assert not (tmp_path / "small.tuckerseg").exists()


def test_the_image_needs_its_own_channels_alone(cascade: tuple[Path, Path], tmp_path: Path) -> None:
    image = volume()
    two = Volume(np.concatenate([image.voxels] * 2), GRID)
    with pytest.raises(InputError, match="needs 1 input channel"):
        Session(Cache(tmp_path)).segment(two, Request(str(cascade[1])))


def test_stages_that_do_not_belong_together_are_refused(cascade: tuple[Path, Path], tmp_path: Path) -> None:
    second = tmp_path / cascade[1].name
    shutil.copytree(cascade[1], second)
    other = make_folder(tmp_path / "other", configuration="3d_lowres", labels=6)
    shutil.move(other, tmp_path)
    with pytest.raises(ModelError, match="is not the first stage of"):
        Session(Cache(tmp_path / "cache")).segment(volume(), Request(str(second)))

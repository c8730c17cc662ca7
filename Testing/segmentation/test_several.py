"""Several models in one run: one segmentation, every structure under a name of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.trained_folders import make_folder
from torch import Tensor

from TuckerSegLib.errors import InputError, ModelError
from TuckerSegLib.inference import preprocessing
from TuckerSegLib.inference.interpolation import Properties
from TuckerSegLib.inference.orientation import ReadImage
from TuckerSegLib.inference.shared_images import shared_images
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.several import together
from TuckerSegLib.segmentation.tasks.nibabel_images import image_of, volume_of
from TuckerSegLib.segmentation.tasks.resampling import to_spacing
from TuckerSegLib.volumes.volume import Geometry, LabelMap, Volume

GRID = Geometry((20, 22, 24), np.diag([-1.5, -1.5, 1.5, 1.0]))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    names = [["liver", "spleen"], ["liver", "vessels"]]
    return [
        str(make_folder(folder, labels=labels, dataset=f"Dataset90{number}_Model", seed=number))
        for number, labels in enumerate(names)
    ]


def volume() -> Volume:
    return Volume(np.random.default_rng(0).normal(0, 300, (1, *GRID.shape)).astype(np.float32), GRID)


def test_label_maps_become_one_with_unique_names() -> None:
    labels = np.zeros((2, *GRID.shape), np.uint8)
    labels[0, :10], labels[0, 10:12], labels[1, 8:11, :5] = 3, 1, 2
    one, other = LabelMap(labels[0], GRID, {1: "spleen", 3: "liver"}), LabelMap(labels[1], GRID, {2: "liver", 4: "x"})
    whole = together([one, other], ["total", "vessels"])
    assert whole.names == {1: "spleen", 2: "liver (total)", 3: "liver (vessels)", 4: "x"}
    found = {name: whole.labels == label for label, name in whole.names.items()}
    np.testing.assert_array_equal(found["liver (vessels)"], labels[1] == 2)
    np.testing.assert_array_equal(found["liver (total)"], (labels[0] == 3) & (labels[1] == 0))
    np.testing.assert_array_equal(found["spleen"], (labels[0] == 1) & (labels[1] == 0))


def test_a_run_by_two_models_is_both_of_their_runs(models: list[str], tmp_path: Path) -> None:
    session, first, second = Session(Cache(tmp_path)), *models
    alone = [session.segment(volume(), Request(model, engine="torch")) for model in models]
    both = session.segment(volume(), Request(first, engine="torch", also=second))
    expected = together([one.label_map for one in alone], ["Dataset900_Model", "Dataset901_Model"])
    np.testing.assert_array_equal(both.label_map.labels, expected.labels)
    assert both.label_map.names == expected.names
    assert both.model == "Dataset900_Model + Dataset901_Model"
    vessels = session.segment(volume(), Request(first, engine="torch", also=second, structures=["vessels"]))
    assert vessels.label_map.names == {1: "vessels"}
    assert vessels.model == "Dataset901_Model"


def test_structures_of_each_model_can_be_chosen_beforehand_and_all_models_are_known_again(models: list[str]) -> None:
    session, first, second = Session(), *models
    both = session.check(Request(first, also=second, structures=["spleen", "vessels"]))
    assert both.split() == [session.check(Request(first)), session.check(Request(second))]
    with pytest.raises(InputError, match="no structure heart"):
        session.check(Request(first, also=second, structures=["heart"]))


def test_what_is_wrong_with_a_later_model_is_said_before_the_first_one_runs(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(Cache(tmp_path))
    monkeypatch.setattr("TuckerSegLib.segmentation.session.run", lambda *_: pytest.fail("the run had begun"))
    with pytest.raises(ModelError, match=r"no plans\.json|There is no model"):
        session.segment(volume(), Request(models[0], also=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="no structure heart"):
        session.segment(volume(), Request(models[0], also=models[1], structures=["heart"]))
    with pytest.raises(InputError, match="Folds are those of one model"):
        session.segment(volume(), Request(models[0], also=models[1], folds=[0]))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainedModel]:
    """The models for which an image was preprocessed."""
    found = []

    def preprocess(model: TrainedModel, image: ReadImage) -> tuple[Tensor, Properties]:
        found.append(model)
        return preprocessing.preprocess(model, image)

    monkeypatch.setattr("TuckerSegLib.inference.predict.preprocess", preprocess)
    return found


def test_models_with_the_same_plans_share_what_is_made_of_the_volume(
    models: list[str], tmp_path: Path, made: list[TrainedModel]
) -> None:
    session, first, second = Session(Cache(tmp_path)), *models
    image = volume()
    session.segment(image, Request(first, engine="torch", also=second))
    assert len(made) == 1
    session.segment(image, Request(first, engine="torch", also=second))
    assert len(made) == 2, "an image that was changed between two runs must be looked at again"


def test_models_with_other_plans_do_not(tmp_path: Path, made: list[TrainedModel]) -> None:
    session = Session(Cache(tmp_path))
    folders = [make_folder(tmp_path, labels=["liver"], dataset=f"Dataset90{number}_Model") for number in (2, 3)]
    plans = json.loads((folders[1] / "plans.json").read_text())
    properties = plans["foreground_intensity_properties_per_channel"]["0"]
    properties["mean"] += 1
    (folders[1] / "plans.json").write_text(json.dumps(plans))
    session.segment(volume(), Request(str(folders[0]), engine="torch", also=str(folders[1])))
    assert len(made) == 2


def test_an_image_is_resampled_once_for_tasks_of_one_spacing() -> None:
    image = image_of(volume())
    alone = to_spacing(image, (3.0, 3.0, 3.0), 1, np.int32)
    with shared_images():
        first, again = (
            to_spacing(image_of(volume_), (3.0, 3.0, 3.0), 1, np.int32) for volume_ in [volume_of(image)] * 2
        )
        other = to_spacing(image, (2.0, 2.0, 2.0), 1, np.int32)
        elsewhere = to_spacing(image_of(volume()), (2.0, 2.0, 2.0), 1, np.int32)
    assert again is first and first is not alone and elsewhere is not other
    np.testing.assert_array_equal(np.asanyarray(first.dataobj), np.asanyarray(alone.dataobj))
    assert other.shape != first.shape

"""A model whose plans nnU-Net cannot carry out is refused when it is opened, in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nnunetv2
import pytest
from support.trained_folders import make_folder

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models.folder import open_folder

Plans = dict[str, Any]


def with_plans(folder: Path, change: Callable[[Plans, Plans], object]) -> Path:
    """The folder after a change of its plans and of its configuration in them."""
    plans = json.loads((folder / "plans.json").read_text())
    change(plans, next(iter(plans["configurations"].values())))
    (folder / "plans.json").write_text(json.dumps(plans))
    return folder


def set_to(**settings: Any) -> Callable[[Plans, Plans], object]:
    return lambda _, configuration: configuration.update(settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            set_to(preprocessor_name="MyPreprocessor"),
            "MyPreprocessor, which the nnU-Net on this computer does not have",
        ),
        (set_to(preprocessor_name="shutil"), "shutil, which"),
        (set_to(normalization_schemes=["CTNormalization", "MyScheme"]), "the channel sequence_1 by MyScheme, which"),
        (set_to(normalization_schemes=["CTNormalization", "np"]), "the channel sequence_1 by np, which"),
        (set_to(normalization_schemes=["CTNormalization"]), "normalises 1 of 2 channels (sequence_0, sequence_1)"),
        (set_to(use_mask_for_norm=[False]), "normalises 1 of 2 channels"),
        (set_to(resampling_fn_data="my_resampling"), "resamples by my_resampling, which"),
        (set_to(resampling_fn_probabilities="Callable"), "resamples by Callable, which"),
        (set_to(resampling_fn_data_kwargs={"is_seg": False, "sharpness": 3}), "sharpness"),
        (
            lambda plans, _: plans["foreground_intensity_properties_per_channel"].pop("1"),
            "intensities of channel 1 are missing",
        ),
        (
            lambda plans, _: plans["foreground_intensity_properties_per_channel"]["0"].pop("std"),
            "intensities that channel 0 is normalised by",
        ),
    ],
)
def test_what_nnunet_does_not_have_is_said_when_the_model_is_opened(
    tmp_path: Path, change: Callable[[Plans, Plans], object], words: str
) -> None:
    folder = make_folder(tmp_path, channels=2, normalization="CTNormalization")
    open_folder(folder)
    with pytest.raises(ModelError) as caught:
        open_folder(with_plans(folder, change))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_classes_of_ones_own_are_found_where_nnunet_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_scheme.py").write_text(
        "from nnunetv2.preprocessing.normalization.default_normalization_schemes import NoNormalization\n"
        "class OwnScheme(NoNormalization): pass\n"
    )
    package = pytest.importorskip("nnunetv2.preprocessing.normalization")
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    folder = make_folder(tmp_path / "model")
    open_folder(with_plans(folder, set_to(normalization_schemes=["OwnScheme"])))


def test_torch_resampling_of_nnunets_own_is_taken(tmp_path: Path) -> None:
    options = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}
    change = set_to(resampling_fn_data="resample_torch_fornnunet", resampling_fn_data_kwargs=options)
    assert Path(nnunetv2.__path__[0], "preprocessing/resampling/resample_torch.py").is_file()
    open_folder(with_plans(make_folder(tmp_path), change))

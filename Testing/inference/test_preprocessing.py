"""An image is preprocessed as by nnU-Net, number for number, in less memory."""

# mypy: allow-untyped-calls

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.trained_folders import make_folder

from TuckerSegLib.inference.orientation import ReadImage
from TuckerSegLib.inference.preprocessing import preprocess
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel

MODELS: dict[str, dict[str, Any]] = {
    "CT": {"normalization": "CTNormalization"},
    "normalised where it is not empty": {"normalization": "ZScoreNormalization", "channels": 2},
    "its own grid": {"spacing": (1.5, 1.2, 1.3)},
    "thick slices": {"spacing": (6.0, 1.0, 1.0)},
    "2D": {"dimensions": 2},
    "swapped axes": {"transpose": (1, 2, 0)},
}


def model(where: Path, options: dict[str, Any]) -> TrainedModel:
    return open_folder(make_folder(where, **options))


def image(shape: tuple[int, int, int], channels: int, dtype: str) -> ReadImage:
    voxels = np.random.default_rng(0).normal(0, 300, (channels, *shape))
    voxels[:, :3, :, 5] = 0
    return ReadImage(voxels.astype(dtype), [1.5, 1.2, 1.3], lambda labels: labels)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_the_image_is_preprocessed_as_by_nnunet(tmp_path: Path, name: str, dtype: str) -> None:
    opened = model(tmp_path, MODELS[name])
    read = image((14, 23, 17), opened.num_input_channels, dtype)
    ours, noted = preprocess(opened, read)
    theirs, _, properties = opened.configuration_manager.preprocessor_class(verbose=False).run_case_npy(
        read.voxels, None, {"spacing": read.spacing}, opened.plans_manager, opened.configuration_manager, opened.dataset
    )
    np.testing.assert_array_equal(ours.numpy(), theirs)
    assert noted == properties


def test_a_large_image_takes_twenty_bytes_a_voxel(tmp_path: Path) -> None:
    opened, read = model(tmp_path, {"spacing": (6.0, 6.0, 6.0)}), image((160, 180, 200), 1, "int16")
    tracemalloc.start()
    preprocess(opened, read)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 160 * 180 * 200 * 24

"""The head waits until the patches are averaged: the labels are those of averaged scores, and take less memory."""

# mypy: allow-untyped-calls

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.overrides
from scipy.ndimage import gaussian_filter
from support.preparing import prepared_model
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.decomposition.policies import RankPolicy, Relative
from TuckerSegLib.decomposition.tucker import Ranks, TuckerConv
from TuckerSegLib.errors import ModelError
from TuckerSegLib.inference.head import Head, split
from TuckerSegLib.inference.labelling.labels import labels_of
from TuckerSegLib.inference.predict import predict
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.one_model import run
from TuckerSegLib.segmentation.prepare import PreparedModel
from TuckerSegLib.volumes.volume import Geometry, Volume

pytestmark = pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::RuntimeWarning")
CPU = torch.device("cpu")
WHOLE = Relative(1.0)
EQUAL = 0.9999
"""Share of voxels: sums in another order decide about a voxel where two scores agree to six digits."""


def folder(where: Path, **options: Any) -> TrainedModel:
    settings = {"labels": 40, "features": (4, 8), "patch_size": (16, 16, 16), **options}
    return open_folder(make_folder(where, **settings))


def volume(shape: tuple[int, int, int] = (22, 26, 30), spacing: tuple[float, ...] = (1.3, 1.2, 1.6)) -> Volume:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 2)
    voxels = (900 * noise / np.abs(noise).max()).astype(np.int16)
    return Volume(voxels[None], Geometry.from_lps(shape, spacing, (0, 0, 0), np.eye(3)))


def ready(model: TrainedModel, cache: Path, policy: RankPolicy = WHOLE) -> PreparedModel:
    return prepared_model(model, cache, policy, "fused")


def labels_of_scores(model: TrainedModel, image: Volume) -> npt.NDArray[np.unsignedinteger]:
    """By the folds' networks whole, and a head that passes their scores on: nothing is taken off."""
    outputs = model.label_manager.num_segmentation_heads
    networks = model.networks()
    head = Head.mean([Head(torch.eye(outputs), torch.zeros(outputs)) for _ in networks])
    labels, _ = predict(model, networks, image, device=CPU, head=head)
    return labels


MODELS: dict[str, dict[str, Any]] = {
    "resampled": {},
    "the image's own grid": {"spacing": (1.6, 1.2, 1.3)},
    "residual": {"architecture": "residual"},
    "folds, mirrored": {"folds": (0, 1), "mirroring": (0, 2)},
    "regions": {"regions": True, "labels": 12},
    "2D": {"dimensions": 2, "patch_size": (16, 16)},
    "old plans": {"plans_format": "old"},
}


@pytest.mark.parametrize("factor", [1.0, 0.9])
@pytest.mark.parametrize("name", MODELS)
def test_labels_are_those_of_averaged_scores(tmp_path: Path, name: str, factor: float) -> None:
    level = ready(folder(tmp_path, **MODELS[name]), tmp_path / "cache", Relative(factor))
    assert level.head is not None
    assert level.head.features < level.head.outputs
    labels = run(level, volume()).label_map.labels
    expected = labels_of_scores(level.model, volume())
    assert len(np.unique(expected)) > 4
    assert (labels == expected).mean() >= EQUAL


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    ("there", "shape"),
    [
        ((1.5, 1.5, 1.5), (17, 20, 23)),
        ((0.7, 3.1, 1.5), (9, 41, 23)),
        ((0.8, 0.8, 5.0), (30, 30, 6)),
        ((5.0, 0.8, 0.8), (5, 30, 30)),
        ((4.0, 4.0, 4.0), (1, 7, 8)),
    ],
)
def test_interpolated_features_have_the_labels_of_interpolated_scores(
    tmp_path: Path, regions: bool, dimensions: int, there: tuple[float, ...], shape: tuple[int, ...]
) -> None:
    options = {"dimensions": 2, "patch_size": (16, 16)} if dimensions == 2 else {}
    model = folder(tmp_path, spacing=(2.0, 2.0, 2.0)[:dimensions], regions=regions, labels=9, **options)
    own = [there[0] if dimensions == 2 else 2.0, 2.0, 2.0]
    coarse = [max(1, round(n * mm / to)) for n, mm, to in zip(shape, there, own, strict=True)]
    properties = {
        "spacing": list(there),
        "shape_before_cropping": shape,
        "bbox_used_for_cropping": [[0, n] for n in shape],
        "shape_after_cropping_and_before_resampling": shape,
    }
    random = torch.Generator().manual_seed(0)
    features = torch.randn((3, *coarse), generator=random)
    outputs = model.label_manager.num_segmentation_heads
    bias = torch.randn(outputs, generator=random) - 2 * regions
    head = Head(torch.randn((outputs, 3), generator=random), bias)
    scores = torch.cat([head.output(index, features) for index in range(outputs)])
    ours = labels_of(features, model, properties, Progress(), head)
    theirs = labels_of(scores, model, properties, Progress())
    assert ours.dtype == theirs.dtype
    assert len(np.unique(theirs)) > 2
    assert (ours == theirs).mean() >= EQUAL


def test_a_model_that_resamples_otherwise_is_resampled_its_own_way(tmp_path: Path) -> None:
    model = folder(tmp_path)
    plans = {**model.plans, "configurations": {**model.plans["configurations"]}}
    settings = dict(plans["configurations"][model.configuration])
    settings["resampling_fn_probabilities_kwargs"] = {"is_seg": False, "order": 3, "force_separate_z": False}
    plans["configurations"][model.configuration] = settings
    cubic = dataclasses.replace(model, plans=plans)
    labels = run(ready(cubic, tmp_path / "cache"), volume()).label_map.labels
    assert (labels == labels_of_scores(cubic, volume())).mean() >= EQUAL


@pytest.mark.parametrize("ranks", [Ranks(5, 3), Ranks(3, 5), Ranks(4, 4), None])
def test_trunk_and_head_are_the_network(tmp_path: Path, ranks: Ranks | None) -> None:
    model = folder(tmp_path, features=(8, 16))
    network = model.network()
    network.load_state_dict(model.load_weights()[0])
    layers = network.get_submodule("decoder.seg_layers")
    assert isinstance(layers, nn.ModuleList)
    if ranks:
        layers[-1] = TuckerConv.from_conv(layers[-1], ranks)  # type: ignore[arg-type]
    patch = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = network(patch)
        trunk, head = split(network)
        features = trunk(patch)
    assert features.shape[1] == head.features == (min(ranks) if ranks else 8)
    again = torch.stack([torch.cat([head.output(index, f) for index in range(head.outputs)]) for f in features])
    torch.testing.assert_close(again, scores, rtol=1e-4, atol=1e-4)
    rows = head(features.movedim(1, -1).flatten(0, -2))
    torch.testing.assert_close(rows, scores.movedim(1, -1).flatten(0, -2), rtol=1e-4, atol=1e-4)


def test_few_structures_are_averaged_as_scores(tmp_path: Path) -> None:
    assert ready(folder(tmp_path, labels=4), tmp_path / "cache").head is None


def test_nnunets_own_labels_come_from_averaged_scores(tmp_path: Path) -> None:
    level = prepared_model(folder(tmp_path), tmp_path / "cache")
    assert level.head is None


def test_no_array_holds_all_scores_of_a_volume(tmp_path: Path) -> None:
    level = ready(folder(tmp_path, labels=200), tmp_path / "cache")
    largest = 0
    image = volume((40, 40, 40))

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            answer = function(*args, **(kwargs or {}))
            if isinstance(answer, Tensor):
                largest = max(largest, answer.untyped_storage().nbytes() if answer.device.type == "cpu" else 0)
            return answer

    with Watching():
        run(level, image)
    assert 0 < largest < 200 * 40**3 * 2 / 4


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = folder(tmp_path)
    properties = {
        "spacing": [1.5] * 3,
        "shape_before_cropping": (4, 4, 4),
        "bbox_used_for_cropping": [[0, 4]] * 3,
        "shape_after_cropping_and_before_resampling": (4, 4, 4),
    }
    head = Head(torch.ones(40, 2), torch.zeros(40))
    with pytest.raises(ModelError, match="not finite"):
        labels_of(torch.full((2, 4, 4, 4), torch.nan), model, properties, Progress(), head)

"""The benchmarks of networks and layers run from end to end, and report what they say they do."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from support.architectures import small
from support.browser import STRUCTURES
from support.trained_folders import make_folder
from typer.testing import CliRunner

from TuckerSegLib.cli.main import app
from TuckerSegLib.evaluation.speed import roofline
from TuckerSegLib.evaluation.speed.double_precision import in_double


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model"))


def test_network_compares_levels_with_the_stock_network(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "plot.png"
    options = ["--factor", "1", "--factor", "0.3", "--repeats", "2", "--engine", "fused", "--plot", str(picture)]

    result = CliRunner().invoke(app, ["benchmark", "network", "--model", str(folder), *options, "--json"])

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [level["factor"] for level in found["levels"]] == [1.0, 0.3]
    for level in found["levels"]:
        assert level["engine"] == "fused"
        assert level["speedup"] == pytest.approx(found["stock_seconds"] / level["seconds"])
        assert level["relative_error"] < 1e-4
        assert len(level["runs"]) == 2
    assert picture.stat().st_size > 0


def test_checks_tell_what_a_level_loses_as_users_get_it(tmp_path: Path) -> None:
    model = make_folder(tmp_path, spacing=(9.0, 9.0, 9.0), labels=STRUCTURES)
    options = ["--model", str(model), "--factor", "1", "--factor", "0.5", "--phantoms", "1", "--engine", "torch"]
    result = CliRunner().invoke(app, ["benchmark", "checks", *options, "--json"])
    assert result.exit_code == 0, result.output
    (level,) = json.loads(result.stdout)["levels"]
    assert level["factor"] == 0.5, "the original network has nothing to be checked by"
    assert 0 <= level["dice"] <= 1 and 0 <= level["original_dice"] <= 1 and level["kept"] >= 0.98
    assert level["patches"] <= level["promised"]


def test_network_tells_each_levels_agreement_on_an_image(folder: Path, tmp_path: Path) -> None:
    picture, image = tmp_path / "plot.svg", tmp_path / "image.nii.gz"
    voxels = np.random.default_rng(0).normal(size=(20, 18, 16)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), image)
    options = [
        "--factor",
        "0.9",
        "--factor",
        "1",
        "--repeats",
        "1",
        "--engine",
        "fused",
        "--no-errors",
        "--exact-ranks",
    ]

    with_image = [*options, "--image", str(image), "--plot", str(picture), "--json"]
    result = CliRunner().invoke(app, ["benchmark", "network", "--model", str(folder), *with_image])

    assert result.exit_code == 0, result.output
    changed, original = (level["agreement"] for level in json.loads(result.stdout)["levels"])
    assert original == 1.0 and 0.0 < changed < 1.0
    assert "agreement with the original" in picture.read_text()


def test_layers_lists_every_convolution(folder: Path) -> None:
    result = CliRunner().invoke(app, ["benchmark", "layers", "--model", str(folder), "--json"])

    assert result.exit_code == 0, result.output
    layers = json.loads(result.stdout)["layers"]
    assert {"encoder.stages.0.0.convs.0.conv", "decoder.transpconvs.0"} <= {layer["name"] for layer in layers}
    assert all(layer["at_chosen"] <= 1.02 * layer["dense"] for layer in layers)


def test_layers_refuses_the_level_that_decomposes_nothing(folder: Path) -> None:
    result = CliRunner().invoke(app, ["benchmark", "layers", "--model", str(folder), "--factor", "1"])

    assert result.exit_code == 2 or "decomposes nothing" in str(result.exception)


def test_a_computers_limits_are_positive() -> None:
    assert roofline.operations_a_second() > 1e8
    assert roofline.bytes_a_second() > 1e7


@pytest.mark.parametrize("shape", [(16, 12, 8), (20, 4, 12), (28, 8, 4)])
def test_the_exact_network_is_the_network_in_double_precision(shape: tuple[int, int, int]) -> None:
    network = small()
    patch = torch.randn(1, 1, *shape, dtype=torch.float64)

    with torch.no_grad():
        assert torch.allclose(in_double(network)(patch), network.double()(patch), rtol=1e-12, atol=1e-12)

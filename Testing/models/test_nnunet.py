"""Any trained folder opens, says what it is and gives its network; any other folder says what is wrong with it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from support.paths import ROOT
from support.trained_folders import make_folder, totalsegmentator_291, totalsegmentator_297
from torch import nn

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models.folder import open_folder

pytestmark = pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::FutureWarning")


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def edit_checkpoint(folder: Path, **changes: Any) -> None:
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save(torch.load(path, weights_only=False) | changes, path)


@pytest.mark.parametrize("plans_format", ["old", "new"])
@pytest.mark.parametrize("architecture", ["plain", "residual"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_network_is_nnunets_own(tmp_path: Path, architecture: str, plans_format: str, dimensions: int) -> None:
    folder = make_folder(
        tmp_path, architecture=architecture, plans_format=plans_format, dimensions=dimensions, channels=2, labels=3
    )
    model = open_folder(folder)
    network = model.network()
    (weights,) = model.load_weights()
    assert weights.keys() == network.state_dict().keys()
    network.load_state_dict(weights)

    reference = nnUNetPredictor(device=torch.device("cpu"))
    reference.initialize_from_trained_model_folder(str(folder), (0,))
    patch = torch.randn(1, 2, *[16] * dimensions)
    with torch.inference_mode():
        assert torch.equal(network(patch), reference.network.eval()(patch))


def test_a_folder_says_what_it_is(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path,
        channels=2,
        folds=(0, 3, "all"),
        labels=["liver", "spleen"],
        mirroring=(0, 2),
        patch_size=(16, 24, 32),
        spacing=(3.0, 1.5, 1.0),
    )
    model = open_folder(folder)
    assert model.name == "Dataset900_Phantom"
    assert (model.configuration, model.trainer) == ("3d_fullres", "nnUNetTrainer")
    assert (model.dimensions, model.patch_size, model.spacing) == (3, (16, 24, 32), (3.0, 1.5, 1.0))
    assert (model.num_input_channels, model.channel_names) == (2, ("sequence_0", "sequence_1"))
    assert model.labels == {1: "liver", 2: "spleen"}
    assert model.mirror_axes == (0, 2)
    assert len(model.load_weights()) == 2, "the numbered folds, without fold_all"
    assert len(open_folder(folder, ["all"]).load_weights()) == 1
    assert len(open_folder(folder, [3]).load_weights()) == 1


def test_regions_are_named_by_the_value_they_are_drawn_with(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, labels=["whole tumour", "core", "enhancing"], regions=True)
    edit(folder, "dataset.json", lambda dataset: dataset.update(regions_class_order=[2, 1, 3]))
    model = open_folder(folder)
    assert model.labels == {2: "whole tumour", 1: "core", 3: "enhancing"}
    assert model.label_manager.num_segmentation_heads == 3


def test_a_label_to_ignore_is_no_structure(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, labels=["liver"])
    edit(folder, "dataset.json", lambda dataset: dataset["labels"].update(ignore=2))
    assert open_folder(folder).labels == {1: "liver"}


def test_labels_with_a_gap_name_the_voxels_that_nnunet_writes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, labels=["liver", "spleen", "kidney"])
    edit(folder, "dataset.json", lambda dataset: dataset.update(labels=dict(background=0, kidney=9, liver=2, spleen=5)))
    model = open_folder(folder)
    logits = torch.eye(4)[:, :, None, None]  # (outputs, voxels, 1, 1): each output has one voxel to itself
    written = model.label_manager.convert_logits_to_segmentation(logits).flatten().tolist()
    assert written == [0, 1, 2, 3]
    assert [model.labels.get(value) for value in written] == [None, "liver", "spleen", "kidney"]


def test_fold_all_is_used_when_it_is_the_only_one(tmp_path: Path) -> None:
    model = open_folder(make_folder(tmp_path, folds=("all",)))
    assert len(model.load_weights()) == 1


@pytest.mark.parametrize(
    ("make", "outputs", "parameters", "patch_size"),
    [(totalsegmentator_297, 118, 16.550518, (112, 112, 128)), (totalsegmentator_291, 25, 31.194809, (128, 128, 128))],
)
def test_totalsegmentators_folders(
    tmp_path: Path, make: Callable[[Path], Path], outputs: int, parameters: float, patch_size: tuple[int, ...]
) -> None:
    model = open_folder(make(tmp_path))
    counted = [weight for name, weight in model.network().named_parameters() if "seg_layers" not in name]
    head = list(model.network().get_submodule("decoder.seg_layers").parameters())[-2:]
    assert sum(weight.numel() for weight in [*counted, *head]) / 1e6 == parameters
    assert len(model.labels) == outputs - 1
    assert model.patch_size == patch_size


def test_the_fingerprint_follows_all_that_decides_the_result(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", folds=(0, 1))
    first = open_folder(folder).fingerprint
    assert open_folder(folder).fingerprint == first
    assert open_folder(shutil.copytree(folder, tmp_path / "copy")).fingerprint == first
    assert open_folder(folder, [0]).fingerprint != first
    edit(folder, "plans.json", lambda plans: plans["configurations"]["3d_fullres"].update(spacing=[2, 2, 2]))
    assert open_folder(folder).fingerprint != first
    assert open_folder(make_folder(tmp_path / "b", folds=(0, 1), seed=7)).fingerprint != first


def test_weights_under_several_names_share_their_memory(tmp_path: Path) -> None:
    (weights,) = open_folder(make_folder(tmp_path)).load_weights()
    distinct = {weight.data_ptr() for weight in weights.values()}
    assert len(distinct) < len(weights) / 2


def test_weights_stored_in_half_precision_are_computed_with_in_single(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    model = open_folder(folder)
    network = model.network()
    (exact,) = model.load_weights()
    network.load_state_dict(exact)
    edit_checkpoint(folder, network_weights=network.half().state_dict())
    (weights,) = open_folder(folder).load_weights()
    assert all(torch.equal(weights[name], value.half().float()) for name, value in exact.items())
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert len({value.data_ptr() for value in weights.values()}) == len(dict(network.named_parameters()))


def test_loaded_weights_survive_their_file(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (weights,) = open_folder(folder).load_weights()
    before = {name: weight.clone() for name, weight in weights.items()}
    with (folder / "fold_0" / "checkpoint_final.pth").open("r+b") as file:
        file.write(bytes(file.seek(0, 2)))
    assert all(torch.equal(weights[name], before[name]) for name in before)


def test_opening_is_silent_and_imports_no_trainer(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, plans_format="old", architecture="residual")
    code = (
        "import sys; from pathlib import Path; from TuckerSegLib.models.folder import open_folder\n"
        f"model = open_folder(Path({str(folder)!r})); model.network().load_state_dict(model.load_weights()[0])\n"
        "assert not {'torchvision', 'timm', 'nnunetv2.training.nnUNetTrainer.nnUNetTrainer'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def complaint(folder: Path, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        open_folder(folder, *arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_none(folder: Path) -> None:
    assert "no plans.json" in complaint(folder / "nowhere")
    assert "is not a folder" in complaint(folder / "plans.json")


def test_a_neighbouring_folder_points_to_the_right_one(folder: Path) -> None:
    assert f"choose the folder {folder.name} in it" in complaint(folder.parent)
    assert f"choose the folder above it, {folder}" in complaint(folder / "fold_0")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_missing_or_broken_descriptions(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    assert f"{name} is not valid JSON" in complaint(folder)
    (folder / name).write_text("[]")
    assert f"{name} does not hold" in complaint(folder)
    (folder / name).unlink()
    assert f"There is no {name}" in complaint(folder)


def test_missing_folds_and_checkpoints(folder: Path) -> None:
    assert "There is no fold_4" in complaint(folder, [4])
    assert "choose from 0" in complaint(folder, [4])
    assert "No fold was asked for" in complaint(folder, [])
    best = folder / "fold_0" / "checkpoint_best.pth"
    (folder / "fold_0" / "checkpoint_final.pth").rename(best)
    assert "ask for checkpoint_best.pth" in complaint(folder, checkpoint="checkpoint_final.pth")
    assert len(open_folder(folder, checkpoint="checkpoint_best.pth").load_weights()) == 1
    best.unlink()
    assert "finish the training" in complaint(folder)
    shutil.rmtree(folder / "fold_0")
    assert "There is no fold in" in complaint(folder)


def test_the_best_checkpoint_is_used_where_no_training_came_to_its_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, folds=(0, 1))
    final, other = (folder / f"fold_{fold}" / "checkpoint_final.pth" for fold in (0, 1))
    whole = open_folder(folder)
    for file in final, other:
        shutil.copy(file, file.with_name("checkpoint_best.pth"))
    other.unlink()
    assert (open_folder(folder).remark, len(open_folder(folder).load_weights())) == ("", 1)
    final.unlink()
    model = open_folder(folder)
    assert model.fingerprint == whole.fingerprint
    assert "checkpoint_best.pth is used" in model.remark
    assert str(folder) in model.remark


def test_plans_that_lack_the_configuration(folder: Path) -> None:
    edit(folder, "plans.json", lambda plans: plans["configurations"].clear())
    assert "3d_fullres" in complaint(folder)


def test_plans_and_labels_that_lack_a_part(folder: Path) -> None:
    edit(folder, "plans.json", lambda plans: plans["configurations"]["3d_fullres"].pop("spacing"))
    assert "lack 'spacing'" in complaint(folder)


def test_labels_without_background(folder: Path) -> None:
    edit(folder, "dataset.json", lambda dataset: dataset["labels"].pop("background"))
    assert "Background" in complaint(folder)


def test_a_cascade_needs_its_first_stage(tmp_path: Path) -> None:
    second = make_folder(tmp_path, configuration="3d_cascade_fullres", labels=3)
    assert "copy the folder nnUNetTrainerNoMirroring__nnUNetPlans__3d_lowres beside it" in complaint(second)
    edit(second, "plans.json", lambda plans: plans["configurations"]["3d_cascade_fullres"].update(previous_stage=".."))
    assert "second stage of a cascade" in complaint(second)


def test_a_trainer_with_its_own_architecture_is_named(folder: Path) -> None:
    weights = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4)).state_dict()
    edit_checkpoint(folder, network_weights=weights, trainer_name="nnUNetTrainerBN")
    assert "architecture of the trainer nnUNetTrainerBN is not supported" in complaint(folder)


def test_labels_that_do_not_match_the_weights(folder: Path) -> None:
    edit(folder, "dataset.json", lambda dataset: dataset["labels"].update(more=4))
    assert "weights are not those of the network" in complaint(folder)


def test_folds_of_different_configurations(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, folds=(1, 0))
    edit_checkpoint(folder, init_args={"configuration": "2d"})
    edit(
        folder,
        "plans.json",
        lambda plans: plans["configurations"].update({"2d": plans["configurations"]["3d_fullres"]}),
    )
    assert "another configuration" in complaint(folder)


def test_an_architecture_nobody_knows(folder: Path) -> None:
    def change(plans: dict[str, Any]) -> None:
        plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "subprocess.PlainConvUNet"

    edit(folder, "plans.json", change)
    assert "subprocess.PlainConvUNet is not supported" in complaint(folder)


@pytest.mark.parametrize("layer", ["os.system", "torch.nn.modules.conv.os.system", "torch.nn.functional.relu"])
def test_hostile_plans_do_not_run(folder: Path, layer: str) -> None:
    trace = folder / "trace"

    def change(plans: dict[str, Any]) -> None:
        arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
        arguments.update(nonlin=layer, nonlin_kwargs={"command": f"touch {trace}"})

    edit(folder, "plans.json", change)
    assert f"ask for {layer} as nonlin" in complaint(folder)
    assert not trace.exists()


def test_mirroring_along_an_axis_that_is_not_there(folder: Path) -> None:
    edit_checkpoint(folder, inference_allowed_mirroring_axes=(3,))
    assert "axes[0] is 3 where a whole number from 0 to 2 belongs" in complaint(folder)
    edit_checkpoint(folder, inference_allowed_mirroring_axes=())
    assert open_folder(folder).mirror_axes is None

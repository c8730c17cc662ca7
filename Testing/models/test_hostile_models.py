"""Models from strangers: what their files say is checked whole when they are opened, in seconds and one sentence."""

import json
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.errors import ModelError, NotEnoughMemory
from TuckerSegLib.models import compressed
from TuckerSegLib.models.dataset import structures_of
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.opening import open_model

Json = dict[str, Any]
Change = Callable[[Json], object]

DEEP = b"[" * 200_000 + b"]" * 200_000

ENDLESS = 1_000_000


def configuration(plans: Json) -> Json:
    found: Json = next(iter(plans["configurations"].values()))
    return found


def architecture(plans: Json) -> Json:
    found: Json = configuration(plans)["architecture"]["arch_kwargs"]
    return found


def with_(part: Callable[[Json], Json], **values: Any) -> Change:
    return lambda content: part(content).update(values)


def whole(content: Json) -> Json:
    return content


PLANS: dict[str, Change] = {
    "configurations that are a list": with_(whole, configurations=[]),
    "a patch that is a word": with_(configuration, patch_size="abc"),
    "a patch of nothing": with_(configuration, patch_size=[0, 16, 16]),
    "a negative patch": with_(configuration, patch_size=[-16, 16, 16]),
    "an endless patch": with_(configuration, patch_size=[10**9, 16, 16]),
    "a patch of one axis": with_(configuration, patch_size=[16]),
    "a patch of five axes": with_(configuration, patch_size=[16] * 5),
    "a patch of halves": with_(configuration, patch_size=[16.5, 16, 16]),
    "a patch that cannot be halved": with_(configuration, patch_size=[15, 16, 16]),
    "a spacing of nothing": with_(configuration, spacing=[0, 1, 1]),
    "a negative spacing": with_(configuration, spacing=[-1, 1, 1]),
    "an infinite spacing": with_(configuration, spacing=[float("inf"), 1, 1]),
    "a spacing that is no number": with_(configuration, spacing=[float("nan"), 1, 1]),
    "a spacing of two axes": with_(configuration, spacing=[1.5, 1.5]),
    "an order with an axis twice": with_(whole, transpose_forward=[0, 0, 1]),
    "an order with an axis too many": with_(whole, transpose_forward=[0, 1, 2, 3]),
    "an order that is not undone": with_(whole, transpose_forward=[1, 2, 0], transpose_backward=[1, 2, 0]),
    "an order of words": with_(whole, transpose_backward="abc"),
    "no order": lambda plans: plans.pop("transpose_forward"),
    "stages by the million": with_(architecture, n_stages=ENDLESS, features_per_stage=[8] * ENDLESS),
    "fewer strides than stages": with_(architecture, strides=[[1, 1, 1]]),
    "strides of two axes": with_(architecture, strides=[[1, 1], [2, 2]]),
    "strides of nothing": with_(architecture, strides=[[1, 1, 1], [0, 0, 0]]),
    "layers by the million": with_(architecture, n_conv_per_stage=[ENDLESS, 2]),
    "features by the million": with_(architecture, features_per_stage=[ENDLESS, ENDLESS]),
    "a kernel of an even size": with_(architecture, kernel_sizes=[[2, 2, 2], [3, 3, 3]]),
    "an endless kernel": with_(architecture, kernel_sizes=[[ENDLESS + 1] * 3, [3, 3, 3]]),
    "layers of another dimension": with_(architecture, conv_op="torch.nn.modules.conv.Conv2d"),
    "options nobody knows": with_(architecture, surprise=1),
    "options of a layer nobody knows": with_(architecture, nonlin_kwargs={"surprise": 1}),
    "no architecture": lambda plans: configuration(plans).pop("architecture"),
    "an architecture that is a word": with_(configuration, architecture="abc"),
    "a configuration that inherits from itself": with_(configuration, inherits_from="3d_fullres"),
    "a normalisation that is none": with_(configuration, normalization_schemes=7),
    "no way to normalise a channel": with_(configuration, normalization_schemes=["ZScoreNormalization"] * 2),
    "no mask of a channel": with_(configuration, use_mask_for_norm=[]),
    "intensities of no channel": with_(whole, foreground_intensity_properties_per_channel={}),
    "intensities that are a number": with_(whole, foreground_intensity_properties_per_channel=7),
    "a resampling that is none": with_(configuration, resampling_fn_data=7),
    "options of a resampling that are none": with_(configuration, resampling_fn_data_kwargs="abc"),
}

OLD_PLANS: dict[str, Change] = {
    "stages by the million": with_(configuration, n_conv_per_stage_encoder=[2] * ENDLESS),
    "features of nothing": with_(configuration, UNet_base_num_features=0),
    "features by the million": with_(configuration, UNet_base_num_features=10**12, unet_max_num_features=10**12),
}

DATASET: dict[str, Change] = {
    "no labels": lambda dataset: dataset.pop("labels"),
    "labels that are a list": with_(whole, labels=[1, 2]),
    "a label that is negative": lambda dataset: dataset["labels"].update(structure_1=-1),
    "a label that is endless": lambda dataset: dataset["labels"].update(structure_1=10**30),
    "a label that is a word": lambda dataset: dataset["labels"].update(structure_1="abc"),
    "a label without a name": lambda dataset: dataset["labels"].update({"": 4}),
    "a background that is not 0": lambda dataset: dataset["labels"].update(background=9),
    "a region of nothing": lambda dataset: dataset["labels"].update(structure_1=[]),
    "channels that are not numbered": with_(whole, channel_names={"abc": "CT"}),
    "channels by the million": with_(whole, channel_names={str(n): "CT" for n in range(ENDLESS)}),
    "an order of regions that is a word": with_(whole, regions_class_order="abc"),
}

HEADER: dict[str, Change] = {
    "no plans": lambda header: header.pop("plans"),
    "no ranks": lambda header: header.pop("ranks"),
    "no report": lambda header: header.pop("report"),
    "plans that are a list": with_(whole, plans=[]),
    "a name that is a list": with_(whole, name=[]),
    "a policy that is a word": with_(whole, policy="abc"),
    "ranks of layers that are not there": with_(whole, ranks={"encoder.nothing": [8, 8]}),
    "ranks of nothing": lambda header: header["ranks"].update({next(iter(header["ranks"])): [0, 0]}),
    "ranks without end": lambda header: header["ranks"].update({next(iter(header["ranks"])): [10**18, 8]}),
    "ranks that are words": lambda header: header["ranks"].update({next(iter(header["ranks"])): "ab"}),
    "axes that are a word": with_(whole, mirror_axes="abc"),
    "an axis that is not there": with_(whole, mirror_axes=[7]),
    "a configuration that is not there": with_(whole, configuration="4d"),
}

TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "a fold of a billion": lambda tensors: tensors.update({"999999999/x": torch.zeros(1)}),
    "a fold that is a word": lambda tensors: tensors.update({"abc/x": torch.zeros(1)}),
    "no fold": lambda tensors: tensors.clear(),
    "a weight too many": lambda tensors: tensors.update({"0/x": torch.zeros(1)}),
    "a weight too few": lambda tensors: tensors.pop(next(iter(tensors))),
    "a weight of another shape": lambda tensors: tensors.update({next(iter(tensors)): torch.zeros(1)}),
    "weights of whole numbers": lambda tensors: tensors.update({n: t.to(torch.int32) for n, t in tensors.items()}),
    "weights of another precision": lambda tensors: tensors.update({n: t.double() for n, t in tensors.items()}),
}


def refused(opened: Callable[[], object]) -> str:
    """The one sentence that opening is answered with, within seconds."""
    start = time.monotonic()
    with pytest.raises(ModelError) as raised:
        opened()
    assert time.monotonic() - start < 10
    said = str(raised.value)
    assert "\n" not in said and len(said) < 1500 and "unexpectedly" not in said
    return said


def edit(path: Path, change: Change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained folder of either format, and a compressed model, none of them changed."""
    place = tmp_path_factory.mktemp("originals")
    new, old = (make_folder(place / kind, plans_format=kind) for kind in ("new", "old"))
    made = place / "a.tuckerseg"
    compressed.save(compressed.compressed(open_folder(new), Relative(0.5)), made)
    compressed.load(made)
    return {"new": new, "old": old, "compressed": made}


@pytest.fixture
def folder(originals: dict[str, Path], tmp_path: Path) -> Path:
    """A trained folder, to be changed."""
    return Path(shutil.copytree(originals["new"], tmp_path / "folder"))


@pytest.fixture
def made(originals: dict[str, Path], tmp_path: Path) -> Path:
    """A compressed model, to be changed and signed anew."""
    return Path(shutil.copy(originals["compressed"], tmp_path))


@pytest.mark.parametrize("name", PLANS)
def test_hostile_plans(folder: Path, name: str) -> None:
    edit(folder / "plans.json", PLANS[name])
    refused(lambda: open_folder(folder))


@pytest.mark.parametrize("name", OLD_PLANS)
def test_hostile_plans_of_an_old_format(originals: dict[str, Path], tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(originals["old"], tmp_path / "folder"))
    edit(folder / "plans.json", OLD_PLANS[name])
    refused(lambda: open_folder(folder))


@pytest.mark.parametrize("name", DATASET)
def test_hostile_labels(folder: Path, name: str) -> None:
    edit(folder / "dataset.json", DATASET[name])
    refused(lambda: open_folder(folder))


@pytest.mark.parametrize("content", [DEEP, b'{"configurations": ' + DEEP + b"}", b"[1]", b'"a"', b"\xff\xfe", b""])
@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_json_that_is_none_of_nnunets(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert name in refused(lambda: open_folder(folder))


@pytest.mark.skipif(os.name == "nt", reason="makes a named pipe")
@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "pipe" in refused(lambda: open_folder(folder))


@pytest.mark.skipif(os.name == "nt", reason="makes a named pipe")
def test_a_pipe_is_no_compressed_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tuckerseg")
    refused(lambda: open_model(tmp_path / "a.tuckerseg"))
    refused(lambda: compressed.load(tmp_path / "a.tuckerseg"))
    refused(lambda: compressed.describe(tmp_path / "a.tuckerseg"))
    refused(lambda: structures_of(tmp_path / "a.tuckerseg"))


@pytest.mark.parametrize("axes", ["abc", ["a"], [-1], [0, 1, 2, 3], [7], {"0": 1}, 5])
def test_axes_to_mirror_along_that_are_none(folder: Path, axes: Any) -> None:
    path = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    torch.save(content | {"inference_allowed_mirroring_axes": axes}, path)
    refused(lambda: open_folder(folder))


def signed_anew(path: Path, header: Change = len, tensors: Callable[[dict[str, torch.Tensor]], object] = len) -> Path:
    """The file after changes, with a checksum that is right: anyone can do that."""
    content, _, weights = compressed._read(path)
    header(content)
    tensors(weights)
    save_file(weights, path, {"header": json.dumps(content), "sha256": compressed._digest(content, weights)})
    return path


@pytest.mark.parametrize("name", HEADER)
def test_a_signed_file_that_says_what_cannot_be(made: Path, name: str) -> None:
    refused(lambda: compressed.load(signed_anew(made, HEADER[name])))


@pytest.mark.parametrize("name", ["a patch of nothing", "stages by the million", "an order with an axis twice"])
def test_a_signed_file_with_hostile_plans(made: Path, name: str) -> None:
    refused(lambda: compressed.load(signed_anew(made, lambda header: PLANS[name](header["plans"]))))


@pytest.mark.parametrize("name", TENSORS)
def test_a_signed_file_that_holds_other_weights(made: Path, name: str) -> None:
    refused(lambda: compressed.load(signed_anew(made, tensors=TENSORS[name])))


@pytest.mark.parametrize("header", ["[]", "7", "null", DEEP.decode(), "{", ""])
def test_a_header_that_is_no_object(made: Path, header: str) -> None:
    save_file({"0/x": torch.zeros(1)}, made, {"header": header, "sha256": ""})
    for look in (compressed.load, compressed.describe, structures_of):
        refused(lambda look=look: look(made))  # type: ignore[misc]


@pytest.mark.parametrize("start", [b"", b"\xff" * 8, struct.pack("<Q", 1 << 40), struct.pack("<Q", 200_000) + DEEP])
def test_a_file_that_is_none_of_safetensors(made: Path, start: bytes) -> None:
    made.write_bytes(start + bytes(100))
    for look in (compressed.load, compressed.describe, structures_of):
        refused(lambda look=look: look(made))  # type: ignore[misc]


def test_a_file_larger_than_the_memory_that_is_free(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100}))
    with pytest.raises(NotEnoughMemory, match="are free"):
        compressed.load(made)


def bombs(path: Path) -> dict[str, Callable[[], object]]:
    content = torch.load(path, weights_only=False)
    weights = content["network_weights"]

    def repacked() -> None:
        with zipfile.ZipFile(path) as before:
            parts = [(part, before.read(part)) for part in before.infolist()]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
            for part, content in parts:
                after.writestr(part.filename, content)

    def stretched() -> None:
        views = {name: torch.zeros(1, dtype=weight.dtype).expand(weight.shape) for name, weight in weights.items()}
        torch.save(content | {"network_weights": views}, path)

    def without_numbers() -> None:
        empty = {name: weight.to("meta") for name, weight in weights.items()}
        torch.save(content | {"network_weights": empty}, path)

    def sparse() -> None:
        torch.save(content | {"network_weights": {n: w.to_sparse() for n, w in weights.items()}}, path)

    return {"packed": repacked, "stretched": stretched, "without numbers": without_numbers, "sparse": sparse}


@pytest.mark.parametrize("kind", ["packed", "stretched", "without numbers", "sparse"])
def test_a_checkpoint_that_claims_more_than_it_holds(folder: Path, kind: str) -> None:
    bombs(folder / "fold_0" / "checkpoint_final.pth")[kind]()
    assert "checkpoint" in refused(lambda: open_folder(folder))

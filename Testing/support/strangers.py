"""Files of every kind that this package opens and strangers may send, each with what opens it."""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from safetensors.torch import save_file
from support.dicom_series import enhanced, right_handed, save, write_series
from support.geometries import oblique
from support.images import VOXELS, image_on, written
from support.mutations import mutate_file, mutated_json
from support.trained_folders import make_folder
from torch import nn

from TuckerSegLib.decomposition.calibration.record import CalibrationRecord, LayerRecord
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.models import compressed
from TuckerSegLib.models.dataset import structures_of
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.models.totalsegmentator.weights import import_archive
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.store import CHOICES_VARIABLE, Store
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker import protocol

IMAGES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", "raw.nrrd", "raw.mha", "DICOM", "Enhanced DICOM")

MODELS = ("plans.json", "dataset.json", "checkpoint", "old checkpoint", ".tuckerseg", "signed .tuckerseg")

OTHERS = ("archive", "calibration", "choices.json", "message")

CHECKPOINT = Path("fold_0/checkpoint_final.pth")


@dataclass(frozen=True)
class Stranger:
    """A file that is whole, how it is changed, and what opens it."""

    path: Path
    open: Callable[[], object]
    change: Callable[[Path, random.Random], None] = mutate_file


def image(kind: str, folder: Path) -> Stranger:
    """An image; what belongs to it lies beside it."""
    if kind == "DICOM":
        return Stranger(write_series(folder, right_handed(oblique()))[0], lambda: read_volume([folder]))
    if kind == "Enhanced DICOM":
        path = save([enhanced(right_handed(oblique()), VOXELS, [(1, 0)] * 4)], folder)[0]
        return Stranger(path, lambda: read_volume([folder]))
    path = folder / f"image{kind}"
    if kind.startswith("raw"):
        sitk.WriteImage(image_on(oblique()), path, useCompression=False)
    else:
        path = written(folder, path.name)
    return Stranger(path, lambda: read_volume([path]))


@cache
def _whole_models() -> TemporaryDirectory[str]:
    """A trained folder and a compressed model of it, made once."""
    made = TemporaryDirectory()
    trained = make_folder(Path(made.name) / "new").rename(Path(made.name) / "trained")
    compressed.save(compressed.compressed(open_folder(trained), Relative(0.5)), Path(made.name) / "a.tuckerseg")
    return made


def model(kind: str, folder: Path) -> Stranger:
    """A trained folder, of whose files one is to be changed, or a compressed model."""
    whole = Path(_whole_models().name)
    trained, path = folder / "trained", folder / "a.tuckerseg"
    if kind.endswith(".tuckerseg"):
        shutil.copy(whole / path.name, path)
        return Stranger(path, lambda: _used(path), _signed_anew if kind.startswith("signed") else mutate_file)
    shutil.copytree(whole / trained.name, trained)
    if kind.endswith("checkpoint"):
        path = trained / CHECKPOINT
        if kind.startswith("old"):
            torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=False)
        return Stranger(path, lambda: _used(trained))
    return Stranger(trained / kind, lambda: _used(trained))


def other(kind: str, folder: Path, patch: pytest.MonkeyPatch) -> Stranger:
    """What is neither an image nor a model; `patch` sets what the environment has to say of it."""
    path = folder / kind
    if kind == "archive":
        patch.setenv("TOTALSEG_WEIGHTS_PATH", str(folder / "weights"))
        (folder / "weights").mkdir()
        path.write_bytes(_archive())
        return Stranger(path, lambda: import_archive(path))
    if kind == "calibration":
        layer = LayerRecord(torch.eye(4), torch.zeros(4), torch.eye(6), torch.eye(6), torch.rand(6, 4))
        CalibrationRecord({"layer": layer}).save(path)
        return Stranger(path, lambda: CalibrationRecord.load(path).check({"layer": nn.Conv3d(4, 6, 3)}))
    if kind == "choices.json":
        patch.setenv(CHOICES_VARIABLE, str(path))
        path.write_text(json.dumps({"choices": {"which": {"engine": "fused", "seconds": {"fused": 1.5}}}}))
        return Stranger(path, lambda: Store(folder / "cache").choice("which"))
    path.write_bytes(_messages())
    return Stranger(path, lambda: _understood(path))


def _signed_anew(path: Path, chance: random.Random) -> None:
    """Change what a compressed model says and sign that, as anyone can."""
    header, _, tensors = compressed._read(path)
    header = {**mutated_json(header, chance), "format": compressed.FORMAT}
    save_file(tensors, path, {"header": json.dumps(header), "sha256": compressed._digest(header, tensors)})


def _used(path: Path) -> None:
    """Open a model in every way, and run it."""
    opened: TrainedModel = compressed.load(path) if path.suffix else open_folder(path)
    structures_of(path)
    if path.suffix:
        compressed.describe(path)
    channels = opened.num_input_channels
    volume = Volume(np.zeros((channels, 6, 6, 6), np.int16), Geometry((6, 6, 6), np.eye(4)))
    found = Session().segment(volume, Request(str(path), device="cpu", engine="torch"))
    assert found.label_map.labels.shape == (6, 6, 6)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as files:
        for name in ("plans.json", "dataset.json", str(CHECKPOINT)):
            files.writestr(f"Dataset298_x/a__b__c/{name}", b"content " * 9)
    return buffer.getvalue()


def _messages() -> bytes:
    """What a worker says to its client."""
    geometry = protocol.geometry_as_json(Geometry((4, 5, 6), np.eye(4)))
    messages: list[Mapping[str, Any]] = [
        {"id": 1, "progress": {"stage": "predict", "fraction": 0.5, "seconds_left": 2.5, "number": 0, "count": 0}},
        {"id": 1, "error": protocol.error_as_json(ValueError("unforeseen"))},
        {"id": 1, "result": {"a": 1}, "labels": geometry},
    ]
    return b"".join(protocol.encode(dict(message)) for message in messages)


def _understood(path: Path) -> None:
    """Decode messages; what is understood as one says nothing of its content yet."""
    for line in path.read_bytes().splitlines():
        try:
            message = protocol.decode(line)
        except ValueError:
            continue
        if isinstance(message.get("error"), dict):
            assert isinstance(protocol.error_of(message["error"]), Exception)


@contextmanager
def stranger(kind: str, folder: Path) -> Iterator[Stranger]:
    """A whole file of a kind, in an environment of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_CACHE", str(folder / "cache"))
        if kind in IMAGES:
            yield image(kind, folder)
        elif kind in MODELS:
            yield model(kind, folder)
        else:
            yield other(kind, folder, patch)

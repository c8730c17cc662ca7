"""No file can have its reader run code: hundreds of checkpoints, models, plans and archives that try to."""

import builtins
import io
import json
import os
import pathlib
import pickle
import runpy
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.errors import TuckerSegError
from TuckerSegLib.models import compressed
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.totalsegmentator.weights import import_archive
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the files name programs of Unix")]

MODULE = "written_by_a_stranger"
"""A module that can be imported, and leaves a trace when it is."""

CHECKPOINT = Path("fold_0/checkpoint_final.pth")


class Runs:
    """Unpickles to whatever calling `function` gives."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is there once anything has run."""
    trace = tmp_path / "trace"
    (tmp_path / "importable").mkdir()
    (tmp_path / "importable" / f"{MODULE}.py").write_text(f"open({str(trace)!r}, 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path / "importable")
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    return trace


def calls(trace: Path) -> list[Runs]:
    """Each leaves a trace when it is unpickled."""
    text = str(trace)
    return [
        Runs(os.system, f"touch {text}"),
        Runs(os.mkdir, text),
        Runs(os.popen, f"touch {text}"),
        Runs(subprocess.call, ["touch", text]),
        Runs(subprocess.Popen, ["touch", text]),
        Runs(builtins.eval, f"open({text!r}, 'w')"),
        Runs(builtins.exec, f"open({text!r}, 'w')"),
        Runs(builtins.open, text, "w"),
        Runs(pathlib.Path.touch, Path(text)),
        Runs(shutil.copy, __file__, text),
        Runs(runpy.run_module, MODULE),
        Runs(import_module, MODULE),
        Runs(np.save, text, 0),
        Runs(torch.save, 0, text),
    ]


def opened(path: Path) -> bool:
    """Whether a model can be opened and run after all; what refuses it does so in a sentence."""
    volume = Volume(np.zeros((1, 6, 6, 6), np.int16), Geometry((6, 6, 6), np.eye(4)))
    try:
        Session().segment(volume, Request(str(path), device="cpu", engine="torch"))
    except TuckerSegError:
        return False
    return True


def hostile_checkpoints(whole: Path, trace: Path) -> Iterator[Path]:
    """In every place of a checkpoint, in both of its formats; and pickles that are none."""
    path = whole / CHECKPOINT
    content = torch.load(path, weights_only=False)
    weights = dict(content["network_weights"])
    for call in calls(trace):
        changed = [
            {**content, "logging": call},
            {**content, "init_args": {**content["init_args"], "plans": call}},
            {**content, "trainer_name": call},
            {**content, "network_weights": {**weights, next(iter(weights)): call}},
            {**content, "optimizer_state": np.array([call], dtype=object)},
        ]
        for one in changed:
            for zipped in (True, False):
                torch.save(one, path, _use_new_zipfile_serialization=zipped)
                yield whole
        for protocol in (0, 2, 4):
            path.write_bytes(pickle.dumps(call, protocol))
            yield whole


def hostile_plans(whole: Path) -> Iterator[dict[str, Any]]:
    """Plans that name a function or class to be looked up wherever nnU-Net looks something up."""
    text = (whole / "plans.json").read_text()
    for name in (f"{MODULE}.Net", f"{MODULE}", "os.system", "builtins.eval", "subprocess.Popen"):
        for key in ("network_class_name", "conv_op", "norm_op", "nonlin", "dropout_op", "preprocessor_name",
                    "resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities", "normalization_schemes",
                    "image_reader_writer", "label_manager"):  # fmt: skip
            plans = json.loads(text)
            configuration = plans["configurations"]["3d_fullres"]
            architecture = configuration["architecture"]
            for place in (plans, configuration, architecture, architecture["arch_kwargs"]):
                if key in place:
                    place[key] = [name] if isinstance(place[key], list) else name
            yield plans


def archive_of(name: str, link: bool) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        for good in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            files.writestr(f"Dataset298_x/a__b__c/{good}", "content")
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFLNK | 0o777) << 16 if link else 0
        files.writestr(member, f"open('{MODULE}', 'w')")
    return buffer.getvalue()


def test_nothing_that_a_file_holds_is_run(tmp_path: Path, trace: Path) -> None:
    whole = make_folder(tmp_path / "model")
    made = tmp_path / "a.tuckerseg"
    compressed.save(compressed.compressed(open_folder(whole), Relative(0.5)), made)
    assert opened(whole) and opened(made), "what is hostile is the change alone"
    plans, checkpoint = (whole / "plans.json").read_bytes(), (whole / CHECKPOINT).read_bytes()
    tried = accepted = 0
    for folder in hostile_checkpoints(whole, trace):
        tried, accepted = tried + 1, accepted + opened(folder)
        assert not trace.exists(), f"checkpoint {tried}"
    assert accepted == 0
    (whole / CHECKPOINT).write_bytes(checkpoint)
    header, _, tensors = compressed._read(made)
    for hostile in hostile_plans(whole):
        (whole / "plans.json").write_text(json.dumps(hostile))
        signed = {**header, "plans": hostile}
        save_file(tensors, made, {"header": json.dumps(signed), "sha256": compressed._digest(signed, tensors)})
        for path in (whole, made):
            opened(path)
            assert not trace.exists() and MODULE not in sys.modules, hostile
            tried += 1
        (whole / "plans.json").write_bytes(plans)
    print(f"{tried} of {tried} hostile checkpoints, models and plans: no code was run")


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("name", ["../up.py", "/etc/profile.d/up.sh", "Dataset298_x/../../up.py", "a/b/../../../up.py"])
def test_an_archive_puts_no_program_where_it_would_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, link: bool
) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "a.zip").write_bytes(archive_of(name, link))
    with pytest.raises(TuckerSegError):
        import_archive(tmp_path / "a.zip")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.zip"]
    assert not Path("/etc/profile.d/up.sh").exists()

"""Checkpoints are read as data: nothing in one can run, and what cannot be read is refused by name."""

import builtins
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trained_folders import make_folder

from TuckerSegLib.errors import ModelError
from TuckerSegLib.models.checkpoint import bare_name, read_checkpoint, sha256


class Runs:
    """Unpickles to whatever calling `function` gives."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def content(**changes: Any) -> dict[str, Any]:
    return {
        "network_weights": {"head.weight": torch.arange(3.0)},
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "trainer_name": "nnUNetTrainer",
        **changes,
    }


def saved(path: Path, **changes: Any) -> Path:
    torch.save(content(**changes), path)
    return path


def test_everything_nnunet_stores_is_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, mirroring=(0, 1, 2))
    path = folder / "fold_0" / "checkpoint_final.pth"
    read, expected = read_checkpoint(path), torch.load(path, weights_only=False)
    assert read.keys() == expected.keys()
    assert read["logging"] == expected["logging"]
    assert type(read["_best_ema"]) is np.float64
    assert read["init_args"] == expected["init_args"]
    assert read["inference_allowed_mirroring_axes"] == (0, 1, 2)
    for name, weight in expected["network_weights"].items():
        assert torch.equal(read["network_weights"][name], weight)


@pytest.mark.parametrize("numpy_core", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True), np.arange(4)])
def test_numbers_of_either_numpy_are_read(tmp_path: Path, value: Any, numpy_core: bytes) -> None:
    path = saved(tmp_path / "old_format.pth", _best_ema=value, _use=None)
    torch.save(content(_best_ema=value), path, _use_new_zipfile_serialization=False)
    stored = path.read_bytes().replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", numpy_core)
    path.write_bytes(stored)
    assert np.array_equal(read_checkpoint(path)["_best_ema"], value)


def test_weights_are_named_without_training_wrappers(tmp_path: Path) -> None:
    wrapped = OrderedDict({"module._orig_mod.encoder.weight": torch.ones(2), "module.head.bias": torch.zeros(1)})
    weights = read_checkpoint(saved(tmp_path / "a.pth", network_weights=wrapped))["network_weights"]
    assert list(weights) == ["encoder.weight", "head.bias"]
    assert bare_name("encoder.module.weight") == "encoder.module.weight"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "system"), (builtins.eval, "eval"), (os.path.join, "posixpath.join")]
)
def test_a_hostile_checkpoint_is_refused_by_name_and_does_not_run(
    tmp_path: Path, function: Callable[..., Any], name: str, zipped: bool
) -> None:
    trace = tmp_path / "trace"
    argument = f"open({str(trace)!r}, 'w')" if function is builtins.eval else f"touch {trace}"
    path = tmp_path / "hostile.pth"
    torch.save(content(logging=Runs(function, argument)), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=rf"refused: it asks for \S*{name},"):
        read_checkpoint(path)
    assert not trace.exists()


def test_a_bare_pickle_does_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "hostile.pth"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Runs(os.system, f"touch {trace}"), protocol))
        with pytest.raises(ModelError):
            read_checkpoint(path)
    assert not trace.exists()


def test_a_numpy_array_cannot_carry_objects_in(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = saved(tmp_path / "a.pth", logging=np.array([Runs(os.system, f"touch {trace}")], dtype=object))
    with pytest.raises(ModelError, match="ObjectDType"):
        read_checkpoint(path)
    assert not trace.exists()


def test_the_allow_list_is_withdrawn_after_reading(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    read_checkpoint(saved(tmp_path / "a.pth"))
    assert set(torch.serialization.get_safe_globals()) == set(before)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_checkpoint_is_named_in_one_sentence(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "cut.pth"
    weights = {"head.weight": torch.zeros(5000)}
    torch.save(content(network_weights=weights), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"cut\.pth") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stored", [b"", b"\x89PNG\r\n", b"PK\x03\x04 no archive", b"version https://git-lfs"])
def test_another_file_is_no_checkpoint(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "image.pth"
    path.write_bytes(stored)
    with pytest.raises(ModelError, match=r"image\.pth is .*no checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"network_weights": None}, "network_weights are not named tensors"),
        ({"network_weights": {"a": 3}}, "network_weights are not named tensors"),
        ({"network_weights": {3: torch.ones(1)}}, "network_weights are not named tensors"),
        ({"init_args": {}}, "init_args name no configuration"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        read_checkpoint(saved(tmp_path / "a.pth", **changes))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="no network_weights and no init_args and no trainer_name"):
        read_checkpoint(tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    with pytest.raises(ModelError, match="no checkpoint"):
        read_checkpoint(tmp_path / "b.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for reading in read_checkpoint, sha256:
        with pytest.raises(ModelError, match=r"nowhere\.pth cannot be read"):
            reading(tmp_path / "nowhere.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path)


def test_a_torch_that_cannot_read_safely_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu121")
    with pytest.raises(ModelError, match=r"update it to 2\.6"):
        read_checkpoint(saved(tmp_path / "a.pth"))

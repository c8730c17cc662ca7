"""Levels on disk: made once, found again, never trusted when damaged; and the same file to hand on."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from pytest import LogCaptureFixture, MonkeyPatch, fixture, mark, raises
from safetensors import SafetensorError
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.errors import InputError, ModelError
from TuckerSegLib.models import compressed
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.models.opening import open_model

LEVEL = Relative(0.3, minimum=2)


@fixture(scope="module")
def folder(tmp_path_factory: "object") -> Path:
    return make_folder(tmp_path_factory.mktemp("model"), folds=(0, 1))  # type: ignore[attr-defined]


@fixture(scope="module")
def model(folder: Path) -> TrainedModel:
    return open_folder(folder)


@fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def output(model: TrainedModel, fold: int = 0) -> torch.Tensor:
    network = model.network()
    network.load_state_dict(model.load_weights()[fold])
    torch.manual_seed(0)
    with torch.no_grad():
        out: torch.Tensor = network(torch.randn(1, model.num_input_channels, *model.patch_size))
    return out


def test_a_level_is_made_at_its_first_use_and_found_after_that(model: TrainedModel, cache: Cache) -> None:
    made, hit = cache.compressed(model, LEVEL)
    found, hit_again = cache.compressed(model, LEVEL)
    assert (hit, hit_again) == (False, True)
    for fold in (0, 1):
        assert torch.equal(output(made, fold), output(found, fold))
    assert not torch.equal(output(found, 0), output(found, 1))
    assert [entry.policy for entry in cache.entries()] == [LEVEL.settings]


def test_the_original_network_takes_no_room(model: TrainedModel, cache: Cache) -> None:
    level, _ = cache.compressed(model, Relative(1.0))
    assert level is model and cache.entries() == []


def test_an_entry_is_for_one_checkpoint_one_policy_and_all_its_settings(model: TrainedModel, cache: Cache) -> None:
    keys = {
        cache.path_of(model, LEVEL),
        cache.path_of(model, Relative(0.3, minimum=3)),
        cache.path_of(model, Relative(0.2, minimum=2)),
        cache.path_of(replace(model, fingerprint="another"), LEVEL),
    }
    assert len(keys) == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_weight(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def change_a_label(path: Path) -> None:
    content = path.read_bytes()
    assert b"structure" in content
    path.write_bytes(content.replace(b"structure", b"Structure", 1))


def make_older(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 0', 1))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@mark.parametrize("damage", [cut, flip_a_weight, change_a_label, make_older, empty])
def test_a_damaged_entry_is_made_anew_with_a_warning(
    model: TrainedModel, cache: Cache, caplog: LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    made, _ = cache.compressed(model, LEVEL)
    damage(cache.path_of(model, LEVEL))
    with caplog.at_level(logging.WARNING):
        again, hit = cache.compressed(model, LEVEL)
    assert not hit and "made anew" in caplog.text
    assert torch.equal(output(made), output(again))
    assert cache.compressed(model, LEVEL)[1]


def test_a_damaged_entry_can_be_listed_and_cleared(model: TrainedModel, cache: Cache) -> None:
    cache.compressed(model, LEVEL)
    empty(cache.path_of(model, LEVEL))
    assert [entry.model for entry in cache.entries()] == ["damaged"]
    cache.clear()
    assert cache.entries() == [] and list(cache.folder.iterdir()) == []


def test_an_entry_that_was_never_finished_is_listed_counted_and_cleared(
    folder: Path, model: TrainedModel, cache: Cache
) -> None:
    path = cache.path_of(model, LEVEL)
    script = (
        "import os, sys; from pathlib import Path; from TuckerSegLib.models import cache, compressed;"
        "from TuckerSegLib.models.folder import open_folder; from TuckerSegLib.decomposition.policies import Relative;"
        "cache.save = lambda level, partial: (compressed.save(level, partial), os._exit(9));"
        "cache.Cache(Path(sys.argv[2])).compressed(open_folder(Path(sys.argv[1])), Relative(0.3, minimum=2))"
    )
    process = subprocess.run([sys.executable, "-c", script, str(folder), str(cache.folder)], cwd=ROOT, check=False)
    assert process.returncode == 9 and not path.exists()

    (entry,) = cache.entries()

    assert entry.model == "unfinished" and entry.size == cache.size > 10_000
    assert cache.clear() == entry.size
    assert list(cache.folder.iterdir()) == []


def test_the_least_recently_used_goes_first(model: TrainedModel, cache: Cache) -> None:
    levels = [Relative(factor, minimum=2) for factor in (0.2, 0.3, 0.4)]
    for age, level in enumerate(levels):
        cache.compressed(model, level)
        os.utime(cache.path_of(model, level), (1000 + age, 1000 + age))
    cache.compressed(model, levels[0])
    sizes = {entry.path: entry.size for entry in cache.entries()}
    cache.limit = sum(sizes.values()) - 1
    assert {entry.path for entry in cache.entries()} == {
        cache.path_of(model, level) for level in (levels[0], levels[2])
    }


def test_a_limit_outlives_the_process_and_never_removes_the_level_in_use(model: TrainedModel, cache: Cache) -> None:
    cache.limit = 1
    assert Cache(cache.folder).limit == 1
    cache.compressed(model, LEVEL)
    assert cache.compressed(model, LEVEL)[1]
    with raises(InputError, match="negative"):
        cache.limit = -1


def test_an_unusable_folder_costs_time_not_the_result(
    model: TrainedModel, tmp_path: Path, caplog: LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    level, hit = Cache(tmp_path / "file" / "cache").compressed(model, LEVEL)
    assert not hit and level.compression is not None and "without it" in caplog.text


def test_a_full_disk_costs_the_entry_not_the_result(
    model: TrainedModel, cache: Cache, monkeypatch: MonkeyPatch, caplog: LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("TuckerSegLib.models.compressed.save_file", full)
    level, _ = cache.compressed(model, LEVEL)
    assert level.compression is not None and "disk is full" in caplog.text
    assert not list(cache.folder.glob("*safetensors*"))


def test_two_processes_make_one_entry_once(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys, json; from pathlib import Path; from TuckerSegLib.models.cache import Cache;"
        "from TuckerSegLib.models.folder import open_folder; from TuckerSegLib.decomposition.policies import Relative;"
        "model = open_folder(Path(sys.argv[1])); sys.stdin.readline();"
        "print(json.dumps(Cache(Path(sys.argv[2])).compressed(model, Relative(0.4, minimum=2))[1]))"
    )
    command = [sys.executable, "-c", script, str(folder), str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    hits = [json.loads(process.communicate("go\n", timeout=300)[0]) for process in processes]
    assert sorted(hits) == [False, True]


def test_the_folder_can_be_chosen(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path))
    assert Cache().folder == tmp_path


def test_a_compressed_model_opens_anywhere_from_one_file(model: TrainedModel, tmp_path: Path) -> None:
    level = compressed.compressed(model, LEVEL)
    path = tmp_path / "small.tuckerseg"
    compressed.save(level, path)
    opened = open_model(path)
    assert torch.equal(output(level, 1), output(opened, 1))
    assert opened.labels == model.labels and opened.spacing == model.spacing and opened.name == model.name
    assert opened.compression is not None and opened.compression.policy == LEVEL.settings


def test_a_compressed_model_is_not_compressed_again(model: TrainedModel, cache: Cache) -> None:
    level, _ = cache.compressed(model, LEVEL)
    assert cache.compressed(level, Relative(1.0))[0] is level
    assert cache.compressed(level, LEVEL)[0] is level
    with raises(InputError, match="compressed already"):
        cache.compressed(level, Relative(0.5))


@mark.parametrize("damage", [cut, flip_a_weight, empty])
def test_a_damaged_compressed_model_is_refused(
    model: TrainedModel, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "small.tuckerseg"
    compressed.save(compressed.compressed(model, LEVEL), path)
    damage(path)
    with raises(ModelError, match="damaged"):
        open_model(path)

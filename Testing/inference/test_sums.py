"""A scan's sums wait in a file where memory is short: the same labels, within the limit, or one sentence."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from support.trained_folders import make_folder

from TuckerSegLib import memory_limit
from TuckerSegLib.errors import InputError, NotEnoughMemory
from TuckerSegLib.inference.window import sums
from TuckerSegLib.inference.window.sums import Sums
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No memory for sums, and a folder of its own for their files."""
    monkeypatch.setattr(sums, "left", lambda: 0)
    monkeypatch.setattr(sums, "cache_folder", lambda: tmp_path / "files")


def noise(shape: tuple[int, int, int], spacing: float = 1.5) -> Volume:
    voxels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    return Volume(voxels, Geometry(shape, np.diag([spacing, spacing, spacing, 1])))


@pytest.mark.parametrize(
    ("folder", "spacing", "asked"),
    [
        ({"labels": 12}, 1.5, {}),
        ({"labels": 12}, 2.0, {"factor": 0.5, "at_least": 0.99}),
        ({"labels": 12, "folds": (0, 1)}, 2.0, {}),
        ({"labels": 4, "folds": (0, 1)}, 2.0, {"factor": 0.5}),
        ({"regions": True}, 2.0, {}),
    ],
    ids=["features", "checked features", "features of folds", "checked scores of folds", "regions"],
)
def test_sums_in_a_file_give_the_same_labels(
    folder: dict[str, object],
    spacing: float,
    asked: dict[str, object],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, scan = make_folder(tmp_path, **folder), noise((20, 26, 24), spacing)  # type: ignore[arg-type]
    session, wanted = Session(Cache(tmp_path / "cache")), Request.of(model, engine="fused", **asked)
    in_memory = session.segment(scan, wanted)
    request.getfixturevalue("short_of_memory")
    in_a_file = session.segment(scan, wanted)
    np.testing.assert_array_equal(in_a_file.label_map.labels, in_memory.label_map.labels)
    assert (tmp_path / "files").is_dir(), "nothing was in a file"
    assert not list((tmp_path / "files").iterdir()), "a file was left behind"


def test_parts_of_sums_in_a_file_are_those_in_memory(short_of_memory: None) -> None:
    generator = torch.Generator().manual_seed(0)
    patch, weight = torch.randn(4, 3, 5, 2, generator=generator), 1 + torch.rand(6, 8, 4, generator=generator)
    place = (slice(None), slice(2, 5), slice(1, 6), slice(2, 4))
    here, there = Sums(torch.zeros(4, 6, 8, 4)), Sums.zeros((4, 6, 8, 4))
    for one in (here, there):
        one.add(patch, place)
        one.split(2)[1].add(patch[:2], place)
        one.divide(weight)
    assert there.features is there and torch.is_tensor(here.features)
    inner = (slice(1, 3), slice(2, 6), slice(0, 7), slice(1, 4))
    assert torch.equal(here[inner], there[inner]) and torch.equal(here.inside(inner)[:], there.inside(inner)[:])


def test_a_full_disk_is_one_sentence(short_of_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotEnoughMemory, match="neither memory nor"):
        Sums.zeros((1, 2**30, 2**30))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sums, "_fill", full)
    with pytest.raises(NotEnoughMemory, match="free space on the disk"):
        Sums.zeros((4, 6, 8, 4))


def test_a_file_system_that_reserves_nothing_is_written_to_the_end(
    short_of_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    found = Sums.zeros((3, 128, 128, 64))
    assert found.features is found and not found[:].any()


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are measured anew on Linux alone")
def test_a_limit_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, take: Callable[[], int]) -> None:
    """The sums alone take 0.87 GB."""
    model, scan = make_folder(tmp_path, labels=40, features=(32, 8), patch_size=[32] * 3), noise((190, 190, 190))
    session, asked = Session(Cache(tmp_path / "cache")), {"step": 1.0, "engine": "fused"}
    session.segment(noise((32, 32, 32)), Request.of(model, **asked))  # what is kept from run to run is there
    limit = take() + 700_000_000
    with caplog.at_level(logging.INFO):
        within = session.segment(scan, Request.of(model, memory=limit, **asked))
    assert within.peak_memory <= limit and f"Takes at most {limit / 1e9:.1f} GB of memory." in caplog.messages
    without = session.segment(scan, Request.of(model, **asked))
    assert without.peak_memory > limit, "the limit was no matter"
    np.testing.assert_array_equal(within.label_map.labels, without.label_map.labels)


def test_a_limit_that_cannot_be_kept_is_one_sentence(tmp_path: Path, take: Callable[[], int]) -> None:
    model = make_folder(tmp_path)
    with pytest.raises(NotEnoughMemory, match=r"may take .* GB: allow it more"):
        Session(Cache(tmp_path / "cache")).segment(noise((20, 20, 20)), Request.of(model, memory=take() // 2))
    assert memory_limit.left() > 0
    with pytest.raises(InputError, match="such as 4GB"):
        Request(memory=0)


@pytest.fixture
def take() -> Callable[[], int]:
    """What this process takes now."""
    return lambda: int(psutil.Process().memory_info().rss)

"""What other systems do otherwise, by stand-ins: files in use on Windows, disks that are full on macOS."""

import errno
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.trained_folders import make_folder

from TuckerSegLib import renaming
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.errors import NotEnoughMemory
from TuckerSegLib.models.compressed import compressed, load, write
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.totalsegmentator import weights
from TuckerSegLib.models.totalsegmentator.weights import import_archive
from TuckerSegLib.worker.exchange import share


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """As on Windows while a virus scanner looks at a new file three times; the seconds that were waited."""
    waited: list[float] = []
    usual = os.replace

    def replace(source: Any, target: Any) -> None:
        if len(waited) < 3:
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")
        usual(source, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("TuckerSegLib.renaming.time.sleep", waited.append)
    monkeypatch.setattr("TuckerSegLib.renaming.os.replace", replace)
    return waited


def test_a_file_that_a_virus_scanner_holds_is_renamed_a_little_later(tmp_path: Path, scanned: list[float]) -> None:
    (tmp_path / "new").write_text("text")
    renaming.renamed(tmp_path / "new", tmp_path / "name")
    assert (tmp_path / "name").read_text() == "text" and len(scanned) == 3


def test_a_file_that_cannot_be_renamed_is_told_of_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("TuckerSegLib.renaming.time.sleep", lambda _: None)
    with pytest.raises(FileNotFoundError):
        renaming.renamed(tmp_path / "new", tmp_path / "name")


def test_unpacking_makes_paths_hardly_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows allows a path 259 characters, of which weights in a usual home take over 200."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(home))
    folder = make_folder(tmp_path / "made", dataset="Dataset900_Phantom")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "made"))
    seen: list[str] = []
    usual = renaming.renamed

    def renamed(source: Path, target: Path) -> None:
        seen.append(str(source))
        usual(source, target)

    monkeypatch.setattr(weights, "renamed", renamed)

    assert import_archive(tmp_path / "a.zip") == ["Dataset900_Phantom"]
    assert seen and all(len(path) <= len(str(home / "Dataset900_Phantom")) + 12 for path in seen)


def test_what_is_shared_has_room_on_the_disk_where_none_can_be_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    shared = share(np.zeros((9, 1024, 1024), np.uint8))
    assert Path(shared.described["at"]).stat().st_blocks * 512 >= 9 << 20
    shared.remove()


def test_a_full_disk_is_one_sentence_where_no_room_can_be_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.delattr(os, "posix_fallocate")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(NotEnoughMemory, match="There is no room for 2 MB"):
            share(np.zeros((2, 1000, 1000), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what is mapped is known on Linux only")
def test_a_compressed_file_that_was_read_is_free(tmp_path: Path) -> None:
    """On Windows one that is mapped can neither be removed nor written anew."""
    path = tmp_path / "level.tuckerseg"
    write(compressed(open_folder(make_folder(tmp_path)), Relative(0.5)), path)
    kept = load(path).load_weights()
    assert kept and str(path) not in Path("/proc/self/maps").read_text()

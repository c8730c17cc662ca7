"""What is kept on disk: whole or not at all, bounded, and cleared of what killed processes left, not of what lives."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.paths import ROOT

from TuckerSegLib import store as store_module
from TuckerSegLib.errors import InputError
from TuckerSegLib.lru_folder import LruFolder
from TuckerSegLib.store import CHOICES_VARIABLE, Store

WRITER = """
import sys, time
from pathlib import Path
from TuckerSegLib.lru_folder import LruFolder
folder = LruFolder(Path(sys.argv[1]), ".bin")
with folder.locked("a.bin"), folder.written("a.bin") as partial:
    (partial.parent / ".tmpX1y2").write_bytes(b"x" * 70)  # as safetensors writes beside the file it is to write
    partial.write_bytes(b"x" * 30)
    print("writing", flush=True)
    time.sleep(600)
"""


@contextmanager
def writer(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process in the middle of writing."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def killed(tmp_path: Path) -> LruFolder:
    """A folder that a process was killed while writing into."""
    with writer(tmp_path):
        pass
    return LruFolder(tmp_path, ".bin")


def write(folder: LruFolder, name: str, content: bytes) -> None:
    with folder.locked(name), folder.written(name) as partial:
        partial.write_bytes(content)


def test_what_a_killed_process_left_is_counted_and_cleared(killed: LruFolder) -> None:
    assert not killed.files()
    assert [file.size for file in killed.unfinished()] == [100]
    assert killed.size == 100
    assert killed.clear() == 100
    assert not list(killed.path.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_write(killed: LruFolder) -> None:
    write(killed, "b.bin", b"content")
    killed.shrink(1000)
    assert [path.name for path in killed.path.iterdir() if path.suffix != ".lock"] == ["b.bin"]


def test_an_entry_that_a_killed_process_left_can_be_written_again(killed: LruFolder) -> None:
    write(killed, "a.bin", b"content")
    assert (killed.path / "a.bin").read_bytes() == b"content"
    assert not killed.unfinished()


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    folder = LruFolder(tmp_path, ".bin")
    write(folder, "b.bin", b"content")
    with writer(tmp_path) as process:
        assert folder.clear() == len(b"content")
        folder.shrink(0)
        assert [file.size for file in folder.unfinished()] == [100]
        os.kill(process.pid, signal.SIGTERM)
        process.wait()
        assert folder.clear() == 100


@pytest.mark.parametrize("name", [".0123abcd.a.bin", ".tmpX1y2"])
def test_what_earlier_versions_left_is_cleared_once_it_is_old(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x" * 10)
    folder = LruFolder(tmp_path, ".bin")
    assert folder.clear() == 0
    os.utime(tmp_path / name, (time.time() - 1e5,) * 2)
    assert folder.size == folder.clear() == 10
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    folder = LruFolder(tmp_path)
    write(folder, "a", b"before")
    with pytest.raises(OSError, match="full"), folder.locked("a"), folder.written("a") as partial:
        partial.write_bytes(b"half")
        raise OSError("the disk is full")
    assert (tmp_path / "a").read_bytes() == b"before"
    assert folder.size == len(b"before")


def test_a_file_in_use_stays_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to remove a file that is open, be it an entry or its lock."""
    folder = LruFolder(tmp_path)
    write(folder, "a", b"content")
    write(folder, "b", b"content")
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.name in ("a", "b.lock"):
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert folder.clear() == len(b"content")
    assert [file.path.name for file in folder.files()] == ["a"]


def test_many_small_files_stay_within_the_limit_though_not_all_are_looked_at_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LIMIT", 10_000)
    looked: list[int] = []
    shrink = LruFolder.shrink

    def noted(folder: LruFolder, limit: int, keep: str | None = None) -> None:
        looked.append(folder.size)
        shrink(folder, limit, keep)

    monkeypatch.setattr(LruFolder, "shrink", noted)
    store = Store(tmp_path)
    for number in range(400):
        store.write(str(number), b"x" * 40)
    assert max(looked) <= 10_000 + 10_000 // 100 + 40 and store.size <= 10_100
    assert 100 < len(looked) < 200


def test_a_store_removes_what_was_used_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_LIMIT", 25)
    store = Store(tmp_path)
    for age, key in enumerate(("c", "b", "a")):
        store.write(key, b"x" * 10)
        os.utime(file_of(tmp_path, key), (1e9 - age, 1e9 - age))

    store.write("d", b"x" * 10)

    assert [key for key in "abcd" if store.read(key)] == ["c", "d"]


def test_a_store_costs_nothing_where_it_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = Store(blocked)

    store.write("key", b"content")

    assert store.read("key") is None
    assert store.size == store.clear() == 0
    assert "could be kept" in caplog.text


def test_a_store_clears(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_json("key", {"a": 1})
    assert store.read_json("key") == {"a": 1}

    assert store.clear() == len('{"a": 1}')
    assert store.read_json("key") is None


def test_a_store_opens_what_was_kept_before(tmp_path: Path) -> None:
    """The name of a file is the SHA-256 of its key, in the folder "engines"."""
    path = file_of(tmp_path, "key")
    path.parent.mkdir()
    path.write_bytes(b"content")
    assert Store(tmp_path).read("key") == b"content"


def file_of(cache: Path, key: str) -> Path:
    return cache / "engines" / hashlib.sha256(key.encode()).hexdigest()


def test_a_choice_is_made_once_and_outlives_the_clearing(tmp_path: Path) -> None:
    assert Store(tmp_path).choice("which") is None
    assert Store(tmp_path).choose("which", {"winner": "a"}) == {"winner": "a"}
    assert Store(tmp_path).choose("which", {"winner": "b"}) == {"winner": "a"}, "another process was first"

    Store(tmp_path).clear()

    store = Store(tmp_path)
    assert store.choice("which") == {"winner": "a"}
    assert store.chosen == {"which": {"winner": "a"}}
    assert store.forget_choices() > 0
    assert Store(tmp_path).choice("which") is None


def test_processes_that_choose_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from TuckerSegLib.store import Store\n"
        "print(Store(Path(sys.argv[1])).choose('which', {'winner': sys.argv[2]})['winner'])"
    )
    run = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen([*run, name], stdout=subprocess.PIPE, text=True, cwd=ROOT) for name in "abcd"]

    winners = [process.communicate(timeout=120)[0].strip() for process in started]

    assert len(set(winners)) == 1 and winners[0] in "abcd"


@pytest.mark.parametrize("wrapped", [dict, lambda found: {"choices": found}, lambda found: {"segmentations": [found]}])
def test_choices_in_a_file_hold_before_those_of_this_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: Callable[[object], object]
) -> None:
    file = tmp_path / "choices.json"
    file.write_text(json.dumps(wrapped({"which": {"winner": "pinned"}})))
    Store(tmp_path).choose("which", {"winner": "here"})
    monkeypatch.setenv(CHOICES_VARIABLE, str(file))

    assert Store(tmp_path).choice("which") == {"winner": "pinned"}
    assert Store(tmp_path).choice("another") is None


def test_choices_that_a_file_lacks_are_said_to_be_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "choices.json").write_text('{"which": {"winner": "pinned"}}')
    monkeypatch.setenv(CHOICES_VARIABLE, str(tmp_path / "choices.json"))

    assert Store(tmp_path).choose("another", {"winner": "here"}) == {"winner": "here"}
    assert "do not hold for all of this run" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", '{"which": 7}', '{"choices": 7}', "[" * 100_000, None])
def test_a_file_without_choices_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "choices.json").write_text(content)
    monkeypatch.setenv(CHOICES_VARIABLE, str(tmp_path / "choices.json"))
    with pytest.raises(InputError, match=r"choices\.json, which TUCKERSEG_CHOICES names, holds no choices"):
        Store(tmp_path).choice("which")

"""Damaged files of every kind that is opened: each is read rightly, or refused in one sentence, in seconds.

A seeded table in which every case is the same on every computer, and a fuzzer that takes new ones for two minutes.
"""

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.strangers import IMAGES, MODELS, OTHERS, stranger

from TuckerSegLib.errors import TuckerSegError, WorkerError

resource = pytest.importorskip("resource")

SECONDS, BYTES = 15.0, 1_000_000_000
"""What one file may take, at most; both are far more than any whole one takes."""

FUZZED_SECONDS = 120.0

pytestmark = pytest.mark.filterwarnings("ignore")


def check(kind: str, seed: object, folder: Path) -> bool:
    """Whether the file could be opened after all; it is an error if it is refused in any way but in a sentence."""
    chance = random.Random(f"{kind} {seed}")
    with stranger(kind, folder) as file:
        file.change(file.path, chance)
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            file.open()
            opened = True
        except TuckerSegError as error:
            opened = False
            said = str(error)
            assert "\n" not in said and len(said) < 2000, said
            assert not isinstance(error, WorkerError) and "unexpectedly" not in said
        assert time.monotonic() - start < SECONDS
        assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < BYTES
    return opened


@pytest.mark.parametrize("kind", [*IMAGES, *MODELS, *OTHERS])
def test_a_file_that_nothing_was_done_to_is_opened(tmp_path: Path, kind: str) -> None:
    with stranger(kind, tmp_path) as file:
        file.open()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", [*MODELS, *OTHERS])
def test_a_damaged_file_is_opened_or_refused_in_one_sentence(tmp_path: Path, kind: str, seed: int) -> None:
    check(kind, seed, tmp_path)


@pytest.mark.slow
def test_two_minutes_of_damaged_files_that_nobody_has_seen() -> None:
    kinds, end = [*IMAGES, *MODELS, *OTHERS], time.monotonic() + FUZZED_SECONDS
    seed, opened, count = time.time_ns(), 0, 0
    while time.monotonic() < end:
        kind = kinds[count % len(kinds)]
        with TemporaryDirectory() as folder:
            try:
                opened += check(kind, seed, Path(folder))
            except BaseException as error:
                error.add_note(f"The file: kind {kind!r}, seed {seed}.")
                raise
        seed, count = seed + 1, count + 1
    print(f"{count} damaged files: {opened} opened, {count - opened} refused in one sentence")

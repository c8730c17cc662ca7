"""A seeded table of damaged images: each is read, or refused in one sentence, within seconds and little memory."""

# mypy: allow-untyped-calls

import random
import time
import tracemalloc
from pathlib import Path

import pytest
from support.mutations import mutated
from support.strangers import IMAGES, image

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume


@pytest.mark.parametrize("seed", [*range(30), 150, 171, 211])
@pytest.mark.parametrize("kind", IMAGES)
def test_a_mutated_image_is_read_or_refused_in_one_sentence(tmp_path: Path, kind: str, seed: int) -> None:
    path = image(kind, tmp_path).path
    path.write_bytes(mutated(path.read_bytes(), random.Random(f"{kind} {seed}")))
    tracemalloc.start()
    start = time.monotonic()
    try:
        assert read_volume([tmp_path if "DICOM" in kind else path]).voxels.ndim == 4
    except InputError as error:
        assert "\n" not in str(error) and str(tmp_path) in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.monotonic() - start < 10
    assert peak < 100_000_000

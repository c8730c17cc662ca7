"""A seeded table of damaged images: each is read, or refused in one sentence, within seconds and little memory."""

# mypy: allow-untyped-calls

import random
import time
import tracemalloc
from pathlib import Path

import pytest
import SimpleITK as sitk  # noqa: N813
from support.dicom_series import enhanced, right_handed, save, write_series
from support.geometries import oblique
from support.images import VOXELS, image_on, written

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume

KINDS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", "raw.nrrd", "raw.mha", "DICOM", "Enhanced DICOM")

EXTREMES = (
    b"0",
    b"-1",
    b"99999999999999999999",
    b"1e30",
    b"nan",
    b"-inf",
    b"",
    b"\xff\xff\xff\x7f",
    b"%s%n",
    b"/etc/passwd",
)


def original(folder: Path, kind: str) -> Path:
    """The file to be damaged; what belongs to it lies beside it."""
    if kind == "DICOM":
        return write_series(folder, right_handed(oblique()))[0]
    if kind == "Enhanced DICOM":
        return save([enhanced(right_handed(oblique()), VOXELS, [(1, 0)] * 4)], folder)[0]
    if kind.startswith("raw"):
        sitk.WriteImage(image_on(oblique()), folder / f"image{kind}", useCompression=False)
        return folder / f"image{kind}"
    return written(folder, f"image{kind}")


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four changes of the kinds that disks, transfers and malice make."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(changed) or 1), chance.choice((1, 2, 4, 8, 40))
        kind = chance.randrange(6)
        if kind == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            changed[place : place + length] = chance.randbytes(length)
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = changed[chance.randrange(len(changed) or 1) :][:length]
        elif kind == 4:
            extreme = chance.choice(EXTREMES)
            changed[place : place + len(extreme)] = extreme
        else:
            del changed[place:]
        changed = changed or bytearray(b"x")
    return bytes(changed)


@pytest.mark.parametrize("seed", [*range(30), 150, 171, 211])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_image_is_read_or_refused_in_one_sentence(tmp_path: Path, kind: str, seed: int) -> None:
    path = original(tmp_path, kind)
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

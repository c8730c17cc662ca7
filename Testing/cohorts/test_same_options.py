"""Every option of a segmentation reaches the workers of a cohort, and does there what it does in the single command."""

# mypy: allow-untyped-calls

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cohorts import small_model, write_scan
from support.killing import TUCKERSEG

from TuckerSegLib.models.cache import Cache
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.files import read_volume

OPTIONS = ["--factor", "0.5", "--exact-ranks", "--engine", "torch", "--threads", "1"]

MORE = ["--step", "1", "--no-mirroring", "--remove-small-blobs", "--model", "second"]

WITHOUT: dict[str, Any] = {"step": None, "mirroring": True, "remove_small_blobs": False, "also": ()}
"""What each of them is otherwise."""


@pytest.mark.slow
def test_options_do_what_they_do_in_the_single_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    models = [small_model(tmp_path / "made" / made, mirroring=(2,)).rename(made) for made in ("first", "second")]
    scan = write_scan(tmp_path / "scans" / "ct.nii.gz", 0, (18, 20, 26))
    options = ["--model", "first", *OPTIONS, *MORE]
    subprocess.run([*TUCKERSEG, "segment", str(scan), "alone.seg.nrrd", *options], check=True)
    subprocess.run([*TUCKERSEG, "cohort", "run", "scans", "results", "--workers", "1", *options], check=True)

    found = read_volume([tmp_path / "results" / "ct.seg.nrrd"])
    assert np.array_equal(found.voxels, read_volume([tmp_path / "alone.seg.nrrd"]).voxels)
    session, image = Session(Cache(tmp_path / "cache")), read_volume([scan])
    request = Request(str(models[0]), 0.5, engine="torch", exact_ranks=True, step=1.0, mirroring=False)
    request = replace(request, remove_small_blobs=True, also=(str(models[1]),))
    for option, otherwise in WITHOUT.items():
        labels = session.segment(image, replace(request, **{option: otherwise})).label_map.labels
        assert not np.array_equal(found.voxels[0], labels), f"{option} changes nothing"

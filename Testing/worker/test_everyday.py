"""What happens every day: many segmentations in one worker, and many processes at once on a cache that is empty."""

# mypy: allow-untyped-calls

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.client import Client

pytestmark = pytest.mark.slow

SHAPE = (20, 22, 24)

PROCESSES = 8

SEGMENTATIONS, WARMING_UP = 100, 20

PROGRAM = """
import hashlib, json, sys
import numpy as np
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

image = np.load(sys.argv[2])
volume, session = Volume(image, Geometry(image.shape[1:], np.eye(4))), Session()
sys.stdin.readline()
found = session.segment(volume, Request(sys.argv[1], 0.5, engine="torch", exact_ranks=True))
print(json.dumps([found.cache_hit, hashlib.sha256(found.label_map.labels.tobytes()).hexdigest()]))
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    return str(make_folder(tmp_path / "model", features=(8, 16), patch_size=(16, 16, 16)))


def voxels() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.random.default_rng(0).normal(0, 300, (1, *SHAPE)).astype(np.int16)


def test_eight_processes_on_an_empty_cache_make_one_entry_and_equal_results(tmp_path: Path, model: str) -> None:
    np.save(tmp_path / "image.npy", voxels())
    command = [sys.executable, "-c", PROGRAM, model, str(tmp_path / "image.npy")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(PROCESSES)
    ]
    for process in processes:  # all of them wait at the same place before anyone goes on
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=600)[0]) for process in processes]
    made = [hit for hit, _ in told].count(False)
    assert made == 1 and len({digest for _, digest in told}) == 1
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
    print(f"{PROCESSES} processes on an empty cache: {made} entry made, {len(told)} equal results")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory that a process holds as Linux tells it")
def test_a_hundred_segmentations_take_no_more_memory_than_twenty(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    client, volume = Client(), Volume(voxels(), Geometry(SHAPE, np.eye(4)))
    request, held, labels = Request(model, 0.5, engine="torch", exact_ranks=True), [], set()
    try:
        for _ in range(SEGMENTATIONS):
            labels.add(client.segment(volume, request).wait().label_map.labels.tobytes())
            assert client.pid
            held.append(psutil.Process(client.pid).memory_info().rss)
    finally:
        client.close()
    growth = held[-1] / held[WARMING_UP - 1] - 1
    assert len(labels) == 1 and growth < 0.01, f"{growth:.1%}: {held[WARMING_UP - 1 :: 10]}"
    print(f"{SEGMENTATIONS} segmentations: the worker's memory grew by {growth:.2%} after the first {WARMING_UP}")

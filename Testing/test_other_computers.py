"""A part of the suite that is quick and goes through every room, on computers that this one is made to resemble."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.paths import ROOT

COMPUTING = ("Testing/engines/test_fused.py", "Testing/inference/test_head.py", "Testing/test_threads.py")
TALKING = (
    "Testing/test_errors.py",
    "Testing/test_platforms.py",
    "Testing/test_threads.py",
    "Testing/volumes/test_formats.py",
)

COMPUTERS: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "AVX2": (COMPUTING, {"LIMITED": "", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "no AVX": (COMPUTING, {"LIMITED": "", "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
    "no oneDNN": (COMPUTING, {"LIMITED": "no onednn"}),
    "one core": (COMPUTING, {"LIMITED": "", "OMP_NUM_THREADS": "1"}),
    "16 threads": (COMPUTING, {"LIMITED": "", "OMP_NUM_THREADS": "16"}),
    "LC_ALL=C": (TALKING, {"LIMITED": "", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
}
"""What is run there, and the environment that makes this computer so."""


def suite(where: Path, part: Sequence[str], settings: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "support.limited", *part]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (where, where / "Testing"))), **settings}
    done = subprocess.run(command, cwd=where, env=found, capture_output=True, encoding="utf-8", errors="replace")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPUTERS)
def test_the_suite_passes_on(name: str) -> None:
    suite(ROOT, *COMPUTERS[name])


@pytest.mark.slow
def test_the_suite_passes_in_a_folder_with_spaces_and_umlauts(tmp_path: Path) -> None:
    where = tmp_path / "Müller und Söhne"
    for name in ("TuckerSegLib", "Testing", "Resources"):
        shutil.copytree(ROOT / name, where / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, where)
    suite(where, TALKING, {"LIMITED": ""})

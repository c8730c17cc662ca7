"""The memory that activations have in a worker: nothing is in two arrays at once, and what is freed is used again."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from TuckerSegLib.engines.workspace import Workspace
from TuckerSegLib.worker.process import environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

PAGE = 4096
"""Bytes; 1024 numbers."""


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.one_of(st.integers(1, 5000), st.integers(-9, -1), st.just(0)),  # take so many, free the nth last, give back
        max_size=40,
    )
)
def test_every_array_keeps_what_was_written_to_it(steps: list[int]) -> None:
    workspace = Workspace(16 * PAGE)
    held: list[tuple[float, np.ndarray]] = []
    for number, step in enumerate(steps):
        if step > 0:
            array = workspace.take(step)
            if array is not None:
                assert len(array) == step
                array[:] = number
                held.append((number, array))
        elif step < 0:
            del held[step : step + 1 or None]
        else:
            workspace.give_back()
        array = None
        assert all((array == value).all() for value, array in held)
    array = None
    held.clear()

    whole = workspace.take(16 * 1024)

    assert whole is not None, "what was freed is one piece again"


def test_more_than_there_is_is_refused() -> None:
    workspace = Workspace(4 * PAGE)
    kept = workspace.take(3000)

    assert workspace.take(2000) is None
    del kept
    assert workspace.take(4096) is not None


def test_the_lowest_place_is_taken_first() -> None:
    workspace = Workspace(8 * PAGE)
    first, second, third = (workspace.take(1024) for _ in range(3))
    assert first is not None and second is not None and third is not None
    place = first.ctypes.data
    assert (second.ctypes.data, third.ctypes.data) == (place + PAGE, place + 2 * PAGE)
    del first, second

    again = workspace.take(2048)

    assert again is not None and again.ctypes.data == place


def test_a_view_keeps_the_memory() -> None:
    import torch

    workspace = Workspace(4 * PAGE)
    array = workspace.take(4096)
    assert array is not None
    view = torch.from_numpy(array).view(4, 1024)[1:, 5]
    del array
    gc.collect()

    assert workspace.take(1) is None
    del view
    assert workspace.take(4096) is not None


PROGRAM = """
import os, torch
from pathlib import Path
from TuckerSegLib.engines import memory, workspace
from TuckerSegLib.engines.fused.channels_last import empty

def taken():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

wide = empty(torch.empty(1, 1, 64, 64, 64), 64)
print(workspace.take(1 << 20) is not None, end=" ")
before = taken()
wide.fill_(1)
used = taken()
del wide
kept = taken()
memory.give_back()
print(before, used, kept, taken())
"""


def _megabytes(settings: dict[str, str]) -> tuple[bool, list[int]]:
    """Whether there is a workspace; what a process has before an activation of 64, with it, after it, in the end."""
    said = subprocess.run([sys.executable, "-c", PROGRAM], env=settings, capture_output=True, text=True, check=True)
    there, *numbers = said.stdout.split()
    return there == "True", list(map(int, numbers))


def test_a_worker_keeps_activations_memory_until_it_gives_back() -> None:
    there, (before, used, kept, after) = _megabytes(environment(os.environ))

    assert there
    assert used - before > 60
    assert abs(used - kept) < 4
    assert kept - after > 60


def test_other_processes_keep_nothing() -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TUCKERSEG_WORKSPACE")}

    there, (before, used, kept, _) = _megabytes(settings)

    assert not there
    assert used - before > 60
    assert used - kept > 60


def test_where_fewer_addresses_are_allowed_there_is_none() -> None:
    program = """
import psutil, resource
from TuckerSegLib.engines import workspace

total = psutil.virtual_memory().total
resource.setrlimit(resource.RLIMIT_AS, (total, total))
print(workspace.take(1 << 20))
"""
    command = [sys.executable, "-c", program]

    said = subprocess.run(command, env=environment(os.environ), capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["None"]

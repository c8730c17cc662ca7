"""The stored numbers of DICOM frames; compressed ones are unpacked in a process of their own.

The libraries that know JPEG's many kinds end their process at damaged data: it had better be one that holds nothing
else. That process is this file as a program. It gets files and frame numbers on standard input and writes, for each
frame, a line with its type and shape and then its bytes.
"""

# mypy: allow-untyped-calls

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import iter_pixels

from ...errors import InputError
from ..formats.contents import DAMAGED, Voxels
from .frames import Frame
from .headers import damage_refused, is_deflated, opened

_PACKAGES = Path(__file__).parents[3]
"""The folder that holds this package, wherever it was loaded from."""

_LINE = 200


def unpacked(frames: Sequence[Frame]) -> Iterator[Voxels]:
    """(J, I): the numbers stored for each frame; a file is opened once for frames that follow each other.

    Raises:
        InputError: a file is cut off or damaged.
    """
    for file, group in groupby(frames, key=lambda frame: frame.file):
        with damage_refused(file), opened(file) as content:
            source = dcmread(content) if is_deflated(file) else content
            yield from iter_pixels(source, indices=[frame.index for frame in group])


def unpacked_elsewhere(frames: Sequence[Frame], shape: tuple[int, int]) -> Iterator[Voxels]:
    """As `unpacked`, by another process; all frames are `shape` (J, I) pixels.

    Raises:
        InputError: a file is cut off or damaged.
    """
    wanted = json.dumps([[str(frame.file), frame.index] for frame in frames]).encode()
    search = os.pathsep.join(filter(None, [str(_PACKAGES), os.environ.get("PYTHONPATH")]))
    program = [sys.executable, "-m", __name__]
    environment = {**os.environ, "PYTHONPATH": search}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=nowhere, env=environment) as process:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(wanted)
            process.stdin.close()
            for frame in frames:
                yield _received(process.stdout, frame, shape)
        finally:
            process.kill()


def _received(pipe: IO[bytes], frame: Frame, shape: tuple[int, int]) -> Voxels:
    line = pipe.readline(_LINE)
    kind, *sides = json.loads(line) if line.endswith(b"\n") else ("u1",)
    count = math.prod(shape) * np.dtype(kind).itemsize
    content = pipe.read(count) if tuple(sides) == shape else b""
    if len(content) != count:
        raise InputError(f"{frame.file} {DAMAGED}.")
    return np.frombuffer(content, kind).reshape(shape)


def _main() -> None:
    place = np.zeros(0)
    frames = [Frame(Path(file), index, place, place, (1.0, 1.0), 1.0, 0.0) for file, index in json.load(sys.stdin)]
    warnings.simplefilter("ignore")
    for plane in unpacked(frames):
        sys.stdout.buffer.write(json.dumps([plane.dtype.str, *plane.shape]).encode() + b"\n" + plane.tobytes())


if __name__ == "__main__":
    _main()

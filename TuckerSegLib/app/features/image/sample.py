"""The phantom that is shown at first: made once on a computer, by a process of its own, and kept."""

import io
import subprocess
import sys

import numpy as np

from ....folders import cache_folder
from ....store import Store
from ....volumes.phantoms.phantom import phantom
from ....volumes.phantoms.seeds import DEMONSTRATION
from ....volumes.volume import Geometry, Volume
from . import making
from .making import KEY


class Sample:
    """The phantom, which `begin` starts to make where none is kept, so that it is there once the views are."""

    def __init__(self) -> None:
        self._maker: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Does not wait."""
        if self._maker is None and not Store(cache_folder()).read(KEY):
            command = [sys.executable, "-P", "-m", making.__name__, str(cache_folder())]
            self._maker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def volume(self) -> Volume:
        """Waits until it is there."""
        self.begin()
        if self._maker is not None:
            self._maker.wait()
        kept = Store(cache_folder()).read(KEY)
        return _unpacked(kept) if kept else phantom(DEMONSTRATION).image


def _unpacked(content: bytes) -> Volume:
    with np.load(io.BytesIO(content)) as found:
        voxels = found["voxels"]
        return Volume(voxels, Geometry(voxels.shape[1:], found["ijk_to_ras"]))

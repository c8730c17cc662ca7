"""The phantom that is shown at first: made once on a computer, by a process of its own, and kept."""

import io
import subprocess
import sys

import numpy as np

from ....models.cache import Cache
from ....store import Store
from ....volumes.phantoms.phantom import phantom
from ....volumes.phantoms.seeds import DEMONSTRATION
from ....volumes.volume import Geometry, Volume

_KEY = f"app phantom {DEMONSTRATION} 1"


class Sample:
    """The phantom, which `begin` starts to make where none is kept, so that it is there once the views are."""

    def __init__(self) -> None:
        self._maker: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Does not wait."""
        if self._maker is None and not Store(Cache().folder).read(_KEY):
            command = [sys.executable, "-P", "-m", __spec__.name]
            self._maker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def volume(self) -> Volume:
        """Waits until it is there."""
        self.begin()
        if self._maker is not None:
            self._maker.wait()
        kept = Store(Cache().folder).read(_KEY)
        return _unpacked(kept) if kept else phantom(DEMONSTRATION).image


def keep() -> None:
    """Make it and keep it."""
    image, content = phantom(DEMONSTRATION).image, io.BytesIO()
    np.savez(content, voxels=image.voxels, ijk_to_ras=image.geometry.ijk_to_ras)
    Store(Cache().folder).write(_KEY, content.getvalue())


def _unpacked(content: bytes) -> Volume:
    with np.load(io.BytesIO(content)) as found:
        voxels = found["voxels"]
        return Volume(voxels, Geometry(voxels.shape[1:], found["ijk_to_ras"]))


if __name__ == "__main__":
    keep()

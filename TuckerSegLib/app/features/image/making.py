"""Makes the phantom that is shown at first and keeps it: a program of its own, free of PyTorch, to start at once.

`python -m TuckerSegLib.app.features.image.making FOLDER` keeps it in the store of that folder.
"""

import io
import sys
from pathlib import Path

import numpy as np

from ....store import Store
from ....volumes.phantoms.phantom import phantom
from ....volumes.phantoms.seeds import DEMONSTRATION

KEY = f"app phantom {DEMONSTRATION} 1"


def make(folder: Path) -> None:
    """Make it and keep it."""
    image, content = phantom(DEMONSTRATION).image, io.BytesIO()
    np.savez(content, voxels=image.voxels, ijk_to_ras=image.geometry.ijk_to_ras)
    Store(folder).write(KEY, content.getvalue())


if __name__ == "__main__":
    make(Path(sys.argv[1]))

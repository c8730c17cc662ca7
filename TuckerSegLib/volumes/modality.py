"""Whether an image looks like a CT or an MR, by the range of its values; free of PyTorch."""

import numpy as np
import numpy.typing as npt

_SAMPLES = 2_000_000

_AIR, _SOFTEST = -500.0, -100.0
"""Hounsfield units: a CT without voxels below the second, or an MR with voxels below the first, is hardly one."""


def guessed(voxels: npt.NDArray[np.generic]) -> str | None:
    """ "CT" or "MR"; None where the range could be either's."""
    lowest = float(sample(voxels).min()) if voxels.size else 0.0
    if lowest < _AIR:
        return "CT"
    return "MR" if lowest > _SOFTEST else None


def sample(voxels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Some millions of the voxels, from all over the image, in one row."""
    row = voxels.reshape(-1)
    chosen: npt.NDArray[np.generic] = row[:: max(1, row.size // _SAMPLES)]
    return chosen


def warning(found: str | None, wanted: str | None, model: str) -> str | None:
    """One sentence where the image seems to be of another modality than the model's."""
    if found is None or wanted is None or found == wanted:
        return None
    return f"The image looks like {found} but {model} was made for {wanted}: the result may be wrong."

"""A phantom stretched to any size, as a CT: to measure on sizes of which there is no scan at hand.

python Testing/tools/synthetic_ct.py FILE.nii.gz 512 512 600    voxels along i, j and k, of 0.8 x 0.8 x 1 mm
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import nibabel
import numpy as np
from scipy import ndimage

from TuckerSegLib.volumes.phantoms.phantom import phantom
from TuckerSegLib.volumes.phantoms.seeds import STUDIES

RAS_SPACING = (-0.8, -0.8, 1.0)


def synthetic_ct(path: Path, shape: tuple[int, int, int]) -> None:
    """`shape` (i, j, k); the NIfTI affine has i, j and k run to L, P and S, as the phantom's do."""
    small = np.transpose(phantom(STUDIES[0]).image.voxels[0]).astype(np.float32)
    large = ndimage.zoom(small, np.divide(shape, small.shape), order=1)
    image = nibabel.Nifti1Image(large.astype(np.int16), np.diag([*RAS_SPACING, 1.0]))  # type: ignore[no-untyped-call]
    nibabel.save(image, path)


if __name__ == "__main__":
    if len(sys.argv) != 5 or not all(size.isdecimal() and int(size) for size in sys.argv[2:]):
        sys.exit(__doc__)
    i, j, k = map(int, sys.argv[2:])
    synthetic_ct(Path(sys.argv[1]), (i, j, k))

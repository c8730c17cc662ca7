"""How far apart the surfaces of two masks are.

Surface voxels are those of a mask with a neighbour (of six) outside it; distances are between voxel centres, in mm.
Every surface voxel counts the same, whatever area it stands for, so on anisotropic grids the values differ slightly
from those of implementations that weight by area.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

Mask = npt.NDArray[np.bool_]

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceDistances:
    """From each surface voxel of either mask to the other's surface, in mm; empty where a mask is."""

    there: Distances
    back: Distances

    def agreement(self, tolerance: float) -> float:
        """The normalised surface Dice: the share of both surfaces within `tolerance` mm of the other.

        0.0 where only one mask is empty. (Nikolov et al., J. Med. Internet Res. 23, 2021.)
        """
        size = len(self.there) + len(self.back)
        within = np.count_nonzero(self.there <= tolerance) + np.count_nonzero(self.back <= tolerance)
        return float(within / size) if size else 0.0

    def hausdorff95(self) -> float:
        """The larger of both directions' 95th percentiles, in mm; NaN where a mask is empty."""
        if not len(self.there) or not len(self.back):
            return float("nan")
        return float(max(np.percentile(self.there, 95), np.percentile(self.back, 95)))


def surface_distances(mask: Mask, other: Mask, spacing: tuple[float, float, float]) -> SurfaceDistances:
    """Between two masks (K, J, I) with voxels of `spacing` mm, in the same order."""
    both = find_objects((mask | other).astype(np.uint8))
    if not both or not mask.any() or not other.any():
        return SurfaceDistances(np.empty(0), np.empty(0))
    ours, theirs = (_surface(np.pad(array[both[0]], 1)) for array in (mask, other))
    return SurfaceDistances(_distances(ours, theirs, spacing), _distances(theirs, ours, spacing))


def _surface(mask: Mask) -> Mask:
    surface: Mask = mask & ~binary_erosion(mask)
    return surface


def _distances(ours: Mask, theirs: Mask, spacing: tuple[float, float, float]) -> Distances:
    distances: Distances = distance_transform_edt(~theirs, sampling=spacing)[ours]
    return distances

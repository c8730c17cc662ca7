"""Grids as scanners and exports make them, for property-based tests: oblique, left-handed, anisotropic, off-centre."""

import numpy as np
from hypothesis import strategies as st

from TuckerSegLib.volumes.volume import Geometry, LabelMap, Matrix

SHAPE = (4, 5, 6)
"""(K, J, I), all different so that a swapped axis shows."""


def rotation(quaternion: tuple[float, float, float, float]) -> Matrix:
    """(3, 3) rotation from any non-zero quaternion."""
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


_part = st.floats(-1, 1).map(lambda value: round(value, 3))
rotations = st.tuples(_part, _part, _part, _part).filter(lambda q: np.linalg.norm(q) > 0.1).map(rotation)
spacings = st.tuples(*[st.floats(0.25, 6).map(lambda value: round(value, 3))] * 3)
origins = st.tuples(*[st.floats(-500, 500).map(lambda value: round(value, 2))] * 3)
handedness = st.sampled_from([np.diag([1.0, 1.0, 1.0]), np.diag([1.0, 1.0, -1.0]), np.eye(3)[[1, 0, 2]]])


@st.composite
def geometries(draw: st.DrawFn, shape: tuple[int, int, int] = SHAPE) -> Geometry:
    direction = draw(rotations) @ draw(handedness)
    return Geometry.from_lps(shape, draw(spacings), draw(origins), direction)


def oblique(shape: tuple[int, int, int] = SHAPE) -> Geometry:
    """One fixed oblique, left-handed, anisotropic, off-centre grid."""
    direction = rotation((0.9, 0.1, -0.3, 0.2)) @ np.diag([1.0, 1.0, -1.0])
    return Geometry.from_lps(shape, (0.8, 1.1, 3.0), (-120.5, 33.25, 810.0), direction)


def world(geometry: Geometry, i: float, j: float, k: float) -> Matrix:
    """Voxel (i, j, k) in RAS millimetres."""
    point: Matrix = (geometry.ijk_to_ras @ (i, j, k, 1.0))[:3]
    return point


def labels_with_gaps(geometry: Geometry) -> LabelMap:
    """Labels 1, 5 and 117 of TotalSegmentator's `total`, in corners that tell the axes apart; 3 is absent."""
    labels = np.zeros(geometry.shape, np.uint8)
    labels[0, 0, 1:] = 1
    labels[-1, 1:, 0] = 5
    labels[2:, -1, -1] = 117
    return LabelMap(labels, geometry, {1: "spleen", 3: "kidney_left", 5: "liver", 117: "costal_cartilages"})

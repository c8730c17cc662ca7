"""The template a torso is painted from: outlines by height, and where the spine runs.

A supine adult in LPS millimetres: x grows to the patient's left, y to the back, z to the head, and z = 0 is the middle
of the third lumbar vertebra. Vertebral levels of organs: Mirjalili et al., Clin Anat 2012;25:1031.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .shapes import Array, Point, radial

# Half width, half depth and centre (mm) of the muscular wall and of the cavity within it, from the pelvis up.
HEIGHTS = (-290, -240, -200, -150, -110, -75, -40, 0, 45, 90, 140, 200, 260, 300, 330, 350, 368, 400)

WALL_A = (152, 158, 163, 164, 156, 146, 138, 133, 137, 144, 150, 155, 158, 163, 164, 152, 112, 62)

WALL_B = (84, 92, 101, 104, 97, 90, 87, 86, 91, 97, 102, 105, 101, 90, 77, 67, 58, 54)

WALL_Y = (12, 12, 12, 13, 10, 4, 0, -2, -2, -2, -2, -2, 0, 6, 12, 14, 14, 12)

CAVITY_A = (5, 22, 40, 60, 82, 112, 121, 120, 124, 128, 131, 128, 117, 98, 74, 52, 24, 5)

CAVITY_B = (5, 20, 40, 62, 72, 72, 73, 73, 79, 86, 90, 87, 77, 62, 46, 33, 18, 5)

CAVITY_Y = (0, 0, 2, 0, -4, -8, -8, -8, -8, -6, -6, -5, -2, 6, 14, 18, 18, 18)

SPINE_Z = (-110, -90, -75, -40, -5, 30, 64, 97, 150, 200, 250, 293, 332, 368, 400)

SPINE_Y = (62, 52, 44, 36, 33, 35, 40, 46, 55, 60, 60, 54, 44, 32, 26)

VERTEBRAE = np.array(
    [-75, -40, -5, 30, 64, 97, 125, 152, 178, 203, 227, 250, 272, 293, 313, 332, 350, 367, 383, 398], float
)
"""Centres of L5 up to L1, T12 up to T1, then the cervical ones, along z."""


def follow(z: Array, heights: Sequence[float], values: Sequence[float] | npt.NDArray[np.float64]) -> Array:
    """Values that are given at some heights, interpolated to each point's."""
    return np.asarray(np.interp(z, heights, values), np.float32)


def wall_and_cavity(x: Array, y: Array, z: Array, belly: float) -> tuple[Array, Array]:
    """Signed distances to the muscular wall and to the cavity; `belly` widens both around the navel."""
    wider = 1 + belly * np.exp(-(((z - 10) / 90) ** 2))
    forward = np.float32(85) * (wider - 1)
    wall = radial(x, y - follow(z, HEIGHTS, WALL_Y) + forward, follow(z, HEIGHTS, WALL_A) * wider,
                  follow(z, HEIGHTS, WALL_B) * wider)  # fmt: skip
    cavity = radial(x, y - follow(z, HEIGHTS, CAVITY_Y) + forward, follow(z, HEIGHTS, CAVITY_A) * wider,
                    follow(z, HEIGHTS, CAVITY_B) * wider)  # fmt: skip
    return wall, cavity


def spine_y(z: float) -> float:
    """Where the vertebral bodies' centre line lies, front to back."""
    return float(np.interp(z, SPINE_Z, SPINE_Y))


def on_cage(out: int, angle: float, z: float) -> Point:
    """The point just outside the cavity at an angle from the back and a height."""
    a, b, y = (float(np.interp(z, HEIGHTS, v)) for v in (CAVITY_A, CAVITY_B, CAVITY_Y))
    sine, cosine = abs(np.sin(angle)), np.cos(angle)
    radius = ((sine / (a + 4.5)) ** 2.4 + (abs(cosine) / (b + 4.5)) ** 2.4) ** (-1 / 2.4)
    return out * radius * sine, y + radius * cosine, float(z)

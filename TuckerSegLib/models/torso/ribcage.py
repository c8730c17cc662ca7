"""Ribs, sternum, clavicles and shoulder blades, laid on the outside of the cavity."""

import numpy as np

from .body import Body, around
from .shapes import Point, Vectors, both
from .template import VERTEBRAE, on_cage, spine_y

_DROP = (22, 40, 52, 60, 66, 70, 72, 70, 62, 52, 38, 26)
"""Millimetres each rib falls from spine to front."""
_SWEEP = (150, 148, 146, 144, 142, 138, 132, 124, 116, 106, 88, 62)
"""Degrees from the back at which each rib ends."""
_RISE = (4, 2, 0, 0, 6, 18, 32, 46, 52, 56)
"""Millimetres each cartilage rises from its rib to the sternum; the last two ribs have none."""


def paint_ribcage(body: Body) -> None:
    """Twelve pairs of ribs with their cartilages, sternum, clavicles and scapulae."""
    droop = float(body.rng.uniform(0.85, 1.15))
    for out in (-1, 1):
        for level in range(12):
            front = _rib(body, out, level, droop)
            if level < len(_RISE):
                _cartilage(body, out, level, front)
    _sternum(body)
    _shoulders(body)


def _rib(body: Body, out: int, level: int, droop: float) -> Vectors:
    """Paints a rib and gives its front end."""
    head = float(VERTEBRAE[16 - level]) + 6
    angles = np.radians(np.linspace(20, _SWEEP[level], 15))
    path = np.array([on_cage(out, angle, head - droop * _DROP[level] * (1 - np.cos(angle)) / 1.8) for angle in angles])
    path[0] = (out * 20, spine_y(head) + 8, head)
    part = body.at(around(path, 12))
    width = np.full(14, 5.4 if level < 10 else 4.6)
    part.paint_bone(part.capsules(path[:-1], path[1:], width, width, 1.35), 190, "ribs", 1.9)
    return np.asarray(path[-1], float)


def _cartilage(body: Body, out: int, level: int, start: Vectors) -> None:
    z = max(float(start[2]) + _RISE[level], 150.0)
    end = (out * 18.0, on_cage(1, np.pi, z)[1], z)
    middle = on_cage(out, np.radians(_SWEEP[level] + 12), (float(start[2]) + z) / 2)
    path = np.array([start, middle, end])
    part = body.at(around(path, 12))
    part.paint(part.tube(path, [5, 5, 4.5], 1.2), 115)


def _sternum(body: Body) -> None:
    z = (140, 155, 180, 240, 275, 295, 312)
    front = [on_cage(1, np.pi, v)[1] - 2 for v in z]
    part = body.at(((-45, -140, 130), (45, -10, 320)))
    plate = part.column(z, [0] * 7, front, [5, 9, 17, 17, 20, 30, 27], [5, 6, 7.5, 7.5, 8, 9, 9], 3.0)
    part.paint(plate - 2, 40, None)
    part.paint_bone(plate, 150, "sternum", 1.9)


def _shoulders(body: Body) -> None:
    for out in (-1, 1):
        collar: list[Point] = [
            (out * 24, on_cage(1, np.pi, 308)[1] - 4, 312),
            (out * 70, -28, 335),
            (out * 120, 4, 352),
        ]
        part = body.at(around(collar, 14))
        part.paint_bone(both(part.tube(collar, [8, 6.5, 6.5]), part.wall + 2), 200, None)
        blade = np.array(
            [on_cage(out, np.radians(angle), z) for angle, z in ((48, 225), (52, 262), (54, 300), (62, 325))]
        )
        blade = blade * (1.16, 1.16, 1)
        part = body.at(around(blade, 45))
        inner = np.array([on_cage(out, np.radians(34), z) for z in (250, 275, 300, 320)]) * (1.16, 1.16, 1)
        width = np.full(4, 3.6)
        sheet = np.minimum(
            part.capsules(blade, inner, width, width, 2.6),
            part.capsules(blade[:-1], blade[1:], width[1:] + 1, width[1:] + 1),
        )
        part.paint_bone(both(sheet, part.wall + 2), 220, None)

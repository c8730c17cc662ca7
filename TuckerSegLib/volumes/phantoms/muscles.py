"""The wall of the trunk, and the muscles that have names."""

import numpy as np
import numpy.typing as npt

from .body import Body, around
from .shapes import FAR, Point, both, ellipsoid, wander
from .template import HEIGHTS, WALL_B, WALL_Y, follow
from .tissues import FAT, LABELS, SKIN

_PSOAS: list[Point] = [
    (30, 34, 66), (36, 36, 40), (42, 38, 0), (48, 32, -45), (58, 20, -90), (78, -18, -135), (92, -30, -165),
    (106, -4, -205), (112, 6, -222),
]  # fmt: skip


def paint_wall(body: Body, fat: float) -> None:
    """Skin, subcutaneous fat, the muscular wall with fat planes, and fat in the cavity."""
    layer = fat * follow(body.z, (-240, -120, 0, 120, 260, 350), (1.15, 1.15, 1.0, 0.7, 0.5, 0.5))
    layer = layer * (1 + 0.25 * np.clip(body.y / 80, -1, 1) - 0.2 * np.abs(body.x) / 150)
    back = follow(body.z, HEIGHTS, np.add(WALL_B, WALL_Y).astype(float))
    skin = both(body.wall - layer, body.y - back - 0.8 * layer + 3)
    body.paint(skin, SKIN)
    body.paint(skin + 2.2, FAT)
    body.paint(body.wall, body.phase["muscle"])
    body.paint(np.abs(body.wall + 7.5 + 2 * np.sin(body.z / 23)) - 0.9, FAT + 25)
    deep = body.wall + 20 + 4 * np.sin(body.z / 17) + 5 * np.sin(body.x / 13 + body.z / 41)
    body.paint(both(np.abs(deep) - 1.0, np.minimum(body.z + 60, 285 - body.z)), FAT + 35)
    body.paint(body.cavity + 1, FAT)
    part = body.at(((-30, -260, -70), (30, -20, 70)))
    linea = np.abs(part.x) - 4
    part.paint(both(part.wall, -part.wall - 14, linea), FAT + 40)


def paint_muscles(body: Body) -> None:
    """Autochthonous back muscles, iliopsoas and gluteus maximus, each in its fascia of fat."""
    for side, out in (("right", -1), ("left", 1)):
        _autochthon(body, side, out)
        _iliopsoas(body, side, out)
        _gluteus(body, side, out)


def _autochthon(body: Body, side: str, out: int) -> None:
    part = body.at(((-75, 10, -165), (75, 140, 380)))
    back = part.column(
        z=(-160, -110, -75, -40, 0, 60, 120, 200, 280, 340, 375),
        x=[out * v for v in (16, 22, 27, 31, 33, 31, 28, 25, 23, 22, 20)],
        y=(93, 84, 73, 68, 66, 71, 80, 88, 84, 68, 54),
        a=(10, 17, 23, 27, 29, 27, 24, 21, 19, 18, 17),
        b=(6, 12, 17, 20, 20, 20, 19, 17, 15, 15, 14),
        power=2.6,
    )
    back = both(back, part.wall + 2, 2 - out * part.x)
    part.paint(back - 2.2, FAT + 20, None)
    part.paint(back, body.phase["muscle"], f"autochthon_{side}")


def _iliopsoas(body: Body, side: str, out: int) -> None:
    points = wander(body.rng, [(out * x, y, z) for x, y, z in _PSOAS], 2)
    part = body.at(around([*points, (out * 112.0, 45.0, -60.0)], 26))
    psoas = part.tube(points, [9, 13, 18, 21, 22, 20, 19, 15, 11])
    iliacus = part.tube([(out * 92, 18, -62), (out * 92, 4, -90), (out * 84, -12, -125)], [15, 17, 16])
    free = _free_of(part, f"hip_{side}", f"femur_{side}", "sacrum")
    muscle = np.where(free, np.minimum(psoas, iliacus), FAR)
    part.paint(np.where(free, muscle - 2, FAR), FAT + 20, None)
    part.paint(muscle, body.phase["muscle"], f"iliopsoas_{side}")


def _gluteus(body: Body, side: str, out: int) -> None:
    part = body.at(((min(0, out * 160), 20, -250), (max(0, out * 160), 150, -75)))
    seat = ellipsoid(part.x, part.y, part.z, (out * 70, 84, -160), (66, 28, 78), (-14, 0, out * -30))
    free = _free_of(part, f"hip_{side}", f"femur_{side}", "sacrum", "colon")
    seat = np.where(free, both(seat, part.wall + 1.5, 9 - out * part.x), FAR)
    part.paint(np.where(free, seat - 3, FAR), FAT, None)
    part.paint(seat, body.phase["muscle"] - 4, f"gluteus_maximus_{side}")


def _free_of(part: Body, *names: str) -> npt.NDArray[np.bool_]:
    return ~np.isin(part.labels, [LABELS[name] for name in names])

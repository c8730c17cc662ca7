"""Heart, oesophagus and trachea."""

import numpy as np

from .body import Body, around
from .shapes import Point, both, ellipsoid, rounded
from .tissues import AIR, FAT
from .variation import move, resize, wander


def paint_mediastinum(body: Body) -> None:
    """Heart with chambers and fat around it, oesophagus, trachea with main bronchi."""
    _heart(body)
    _oesophagus(body)
    _trachea(body)


def _heart(body: Body) -> None:
    rng, phase = body.rng, body.phase
    centre, radii = move(rng, (20, -24, 193), 4), resize(rng, (56, 44, 46))
    turn = (float(rng.normal(0, 5)), float(rng.normal(28, 5)), float(rng.normal(32, 6)))
    part = body.at(around([centre], 85))
    above = 128 + 0.35 * np.abs(part.x) - part.z
    whole = ellipsoid(part.x, part.y, part.z, centre, radii, turn)
    heart = both(whole, rounded(part.cavity + 6, above))
    part.paint(both(heart - 5, part.cavity + 2), FAT, None)
    part.paint(heart, phase["myocardium"], "heart")
    chambers: list[tuple[Point, Point]] = [
        ((20, -2, -6), (30, 17, 18)),
        ((2, -26, -4), (30, 13, 22)),
        ((-30, -4, 4), (20, 20, 26)),
        ((-8, 22, 12), (27, 13, 17)),
    ]
    for (dx, dy, dz), size in chambers:
        chamber = ellipsoid(part.x, part.y, part.z, (centre[0] + dx, centre[1] + dy, centre[2] + dz), size, turn)
        part.paint(both(chamber, heart + 3.5), phase["heart"] * float(rng.uniform(0.88, 1.05)))
    part.paint(np.abs(both(part.cavity, heart) + 2) - 0.6, FAT + 90, where="heart")


def _oesophagus(body: Body) -> None:
    course: list[Point] = [(2, 22, 365), (4, 29, 300), (3, 33, 250), (10, 34, 200), (17, 27, 160), (30, 14, 132)]
    path = wander(body.rng, course, 2.5)
    part = body.at(around(path, 22))
    tube = part.tube(path, [9.5, 9.5, 9.5, 10, 10, 11])
    part.paint(tube, 44, "esophagus")
    part.paint(tube + 7.2, float(body.rng.choice([-700.0, 20.0])))


def _trachea(body: Body) -> None:
    path = wander(body.rng, [(0, 3, 372), (0, 8, 320), (1, 14, 285), (1, 18, 262)], 2.5)
    x, y, z = path[-1]
    part = body.at(around(path, 55))
    size = float(body.rng.uniform(9, 11))
    airway = part.tube(path, [size] * 4)
    for out in (-1, 1):
        bronchus: list[Point] = [(x, y, z), (x + out * 18, y + 3, z - 14), (x + out * 38, y + 5, z - 25)]
        airway = np.minimum(airway, part.tube(bronchus, [size, 7.5, 6.5]))
    part.paint(airway - 2.2, 40, None)
    part.paint(airway, AIR + 15, "trachea")

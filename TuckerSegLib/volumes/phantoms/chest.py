"""The chest: the diaphragm, the lungs with lobes, fissures and vessels, and the mediastinum between them."""

import numpy as np

from .body import Body, around
from .shapes import FAR, Array, Box, Point, both, ellipsoid, move, radial, resize, rounded, wander
from .tissues import AIR, FAT, LABELS
from .vessels import tree

_CHEST: Box = ((-190, -190, 30), (190, 190, 380))


def above_diaphragm(body: Body) -> Array:
    """How far (mm) each point lies above the diaphragm: two domes that fall to the wall, furthest behind."""
    breath = body.rng.uniform(-10, 12)
    reach = np.clip(1 + body.cavity / 120, 0, 1.05)
    dome = 159 + breath - 8 * np.tanh(body.x / 30) - 76 * reach**4 - 0.2 * body.y * reach
    return np.asarray((body.z - dome) * 0.8, np.float32)


def paint_lungs(body: Body, diaphragm: Array) -> None:
    """Parenchyma cut into lobes by the fissures, with vessels that taper from the hilum."""
    rng = body.rng
    part = body.at(_CHEST)
    if not part.x.size:
        return
    above = diaphragm[body.find(_CHEST)]
    part.paint(both(part.cavity, -above, above - 3.2), part.phase["muscle"])
    middle = radial(part.x - 2, part.y + 5, 24 + 5 * np.cos(part.z / 40), 88, 2.0)
    lungs = both(part.cavity + 2.5, -above, rounded(part.cavity + 2.5, -middle, 10))
    tilt, high = rng.uniform(1.15, 1.5, 2), rng.normal(0, 8, 2)
    ripple = 3 * np.sin(part.x / 21 + rng.uniform(0, 6)) + 2 * np.sin(part.y / 17)
    density = rng.uniform(-885, -815)
    air = density + 45 * (part.y / 90) + 18 * np.sin(part.z / 31 + part.x / 19)
    oblique_left = (part.z - 214 - high[0] - tilt[0] * part.y + ripple) * np.float32(1 / np.hypot(1, tilt[0]))
    oblique_right = (part.z - 210 - high[1] - tilt[1] * part.y + ripple) * np.float32(1 / np.hypot(1, tilt[1]))
    horizontal = part.z - 212 - 0.6 * high[1] + 0.12 * part.x + ripple
    lobes = {
        "lung_upper_lobe_left": both(-oblique_left, -part.x),
        "lung_lower_lobe_left": both(oblique_left, -part.x),
        "lung_upper_lobe_right": both(-oblique_right, -horizontal, part.x),
        "lung_middle_lobe_right": both(-oblique_right, horizontal, part.x),
        "lung_lower_lobe_right": both(oblique_right, part.x),
    }
    part.paint(lungs, air)
    for name, lobe in lobes.items():
        part.labels[both(lungs, lobe) < 0] = LABELS[name]
    fissures = np.minimum(np.where(part.x > 0, np.abs(oblique_left), np.abs(oblique_right)),
                          np.where((part.x < 0) & (oblique_right > 0), np.abs(horizontal), FAR))  # fmt: skip
    part.paint(both(lungs, fissures - 0.9), density + 190)
    for side in (-1, 1):
        starts, ends, at_start, at_end = tree(
            rng, (side * 30.0, 20.0, 238.0), ((side * 78.0, 0.0, 225.0), (46, 70, 100))
        )
        vessels = part.capsules(starts, ends, at_start, at_end)
        part.paint(both(vessels, lungs), max(part.phase["veins"], 40.0))


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

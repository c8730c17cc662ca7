"""Lungs with lobes, fissures and vessels, and the diaphragm below them."""

import numpy as np

from .body import Body
from .shapes import FAR, Array, Box, both, radial, rounded
from .tissues import LABELS
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
    level = part.z - 212 - 0.6 * high[1] + 0.12 * part.x + ripple
    lobes = {
        "lung_upper_lobe_left": both(-oblique_left, -part.x),
        "lung_lower_lobe_left": both(oblique_left, -part.x),
        "lung_upper_lobe_right": both(-oblique_right, -level, part.x),
        "lung_middle_lobe_right": both(-oblique_right, level, part.x),
        "lung_lower_lobe_right": both(oblique_right, part.x),
    }
    part.paint(lungs, air)
    for name, lobe in lobes.items():
        part.labels[both(lungs, lobe) < 0] = LABELS[name]
    fissures = np.minimum(np.where(part.x > 0, np.abs(oblique_left), np.abs(oblique_right)),
                          np.where((part.x < 0) & (oblique_right > 0), np.abs(level), FAR))  # fmt: skip
    part.paint(both(lungs, fissures - 0.9), density + 190)
    for side in (-1, 1):
        starts, ends, at_start, at_end = tree(
            rng, (side * 30.0, 20.0, 238.0), ((side * 78.0, 0.0, 225.0), (46, 70, 100))
        )
        vessels = part.capsules(starts, ends, at_start, at_end)
        part.paint(both(vessels, lungs), max(part.phase["veins"], 40.0))

"""Small bowel and colon."""

import numpy as np

from .body import Body, around
from .shapes import Point, both, smooth_path
from .tissues import AIR
from .variation import wander

_COLON: list[Point] = [
    (-88, -8, -88), (-100, 4, -50), (-104, 14, -10), (-95, 8, 22), (-68, -42, 14), (-25, -62, 6), (25, -62, 8),
    (68, -44, 32), (98, 0, 66), (108, 22, 40), (108, 20, 0), (105, 14, -45), (84, -6, -88), (50, -20, -104),
    (22, 8, -110), (8, 38, -125), (0, 48, -155), (0, 46, -200), (0, 46, -222),
]  # fmt: skip
_COLON_RADII = (28, 26, 24, 23, 21, 20, 20, 20, 20, 17, 16, 16, 15, 15, 16, 19, 21, 18, 9)


def paint_bowel(body: Body) -> None:
    """Loops of small bowel, then the colon from caecum to rectum."""
    for _ in range(13):
        _loop(body)
    _colon(body)


def _loop(body: Body) -> None:
    rng = body.rng
    centre = rng.uniform((-75, -55, -105), (75, -12, 12))
    path = centre + np.cumsum(rng.normal(0, 1, (11, 3)), 0) * (15, 7, 11)
    path = np.clip(path, (-92, -62, -120), (92, -2, 22))
    part = body.at(around(path, 18))
    loop = both(part.tube(path, [rng.uniform(9, 13)] * 11), part.cavity + 4)
    part.paint(loop, body.phase["bowel"] * 0.9)
    part.paint(loop + 3, float(rng.uniform(8, 35)))
    if rng.random() < 0.35:
        part.paint(both(loop + 3.5, part.y - centre[1] + 4), AIR + 40)


def _colon(body: Body) -> None:
    """With haustra, gas in front and stool behind."""
    rng = body.rng
    path, widths = smooth_path(wander(rng, _COLON, 4), _COLON_RADII, 5)
    widths = widths * (1 + 0.13 * np.sin(np.arange(len(widths)) * 1.9)) * rng.uniform(0.88, 1.1)
    part = body.at(around(path, 30))
    colon = part.capsules(path[:-1], path[1:], widths[:-1], widths[1:])
    colon = np.where(part.z > -135, both(colon, part.cavity + 3), colon)
    part.paint(colon, body.phase["bowel"] * 0.8 + 5, "colon")
    crumbs = 45 * np.sin(part.x / 3.1 + 2 * np.sin(part.z / 4)) * np.sin(part.y / 2.7) * np.sin(part.z / 3.7)
    part.paint(colon + 3.2, 20 + crumbs)
    gas = part.y + 12 + 18 * np.sin(part.x / 37 + rng.uniform(0, 6)) + 14 * np.sin(part.z / 29 + rng.uniform(0, 6))
    part.paint(both(colon + 4.2, gas), AIR + 30)

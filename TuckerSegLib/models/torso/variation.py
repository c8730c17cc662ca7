"""How far organs stray from the template, from person to person."""

from collections.abc import Sequence

import numpy as np

from .shapes import Point


def move(rng: np.random.Generator, centre: Point, shift: float = 5.0) -> Point:
    """A centre shifted by a few millimetres, less from front to back, where there is little room."""
    dx, dy, dz = np.clip(rng.normal(0, shift, 3), -2 * shift, 2 * shift)
    return centre[0] + float(dx), centre[1] + float(dy) * 0.7, centre[2] + float(dz)


def resize(rng: np.random.Generator, radii: Point, spread: float = 0.12) -> Point:
    """Radii that grow together by up to `spread`, and a little each."""
    grow = rng.uniform(1 - spread, 1 + spread)
    a, b, c = (float(r * grow * rng.uniform(0.94, 1.06)) for r in radii)
    return a, b, c


def wander(rng: np.random.Generator, points: Sequence[Point], shift: float = 4.0) -> list[Point]:
    """The same path moved as a whole, each of its points a little on its own."""
    whole = rng.normal(0, shift * 0.7, 3)
    return [
        (float(x), float(y), float(z))
        for x, y, z in np.asarray(points) + whole + np.clip(rng.normal(0, shift * 0.6, (len(points), 3)), -8, 8)
    ]

"""Solids as signed distances: millimetres to the surface, negative inside, on a grid of LPS coordinates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
"""A value at each point of the grid, (K, J, I), float32 unless a formula made it wider."""

Vectors = npt.NDArray[np.float64]
"""Points (n, 3), or one number for each of n."""

Point = tuple[float, float, float]

Box = tuple[Point, Point]
"""Two opposite corners (x, y, z) in millimetres."""

FAR = np.float32(1e3)


def radial(x: Array, y: Array, a: Array, b: Array | float, power: float = 2.4) -> Array:
    """Distance along the radius to the superellipse |x/a|^power + |y/b|^power = 1."""
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    if power == 2.0:
        reach = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    else:
        reach = (np.abs(x / a) ** power + np.abs(y / b) ** power) ** (1 / power)
    return np.asarray(radius - radius / np.maximum(reach, 1e-4), np.float32)


def ellipsoid(x: Array, y: Array, z: Array, centre: Point, radii: Point, turn: Point = (0, 0, 0)) -> Array:
    """An ellipsoid turned by degrees about the x, then the y, then the z axis."""
    axes = rotation(turn).T
    shifted = (x - centre[0], y - centre[1], z - centre[2])
    local = [sum(axes[row, col] * shifted[col] for col in range(3)) for row in range(3)]
    radius = np.sqrt(sum(c * c for c in local)) + np.float32(1e-3)
    reach = np.sqrt(sum((c / r) ** 2 for c, r in zip(local, radii, strict=True)))
    return np.asarray(radius - radius / np.maximum(reach, 1e-4), np.float32)


def rotation(degrees: Point) -> npt.NDArray[np.float32]:
    """(3, 3): a turn about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turn: npt.NDArray[np.float32] = (about_z @ about_y @ about_x).astype(np.float32)
    return turn


def capsule(
    x: Array,
    y: Array,
    z: Array,
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    radii: tuple[float, float],
    height: float = 1.0,
) -> Array:
    """A segment thickened to radii that taper from start to end; `height` stretches its section along z."""
    ax, ay, az = (float(v) for v in start)
    dx, dy, dz = (float(v) for v in end - start)
    dz /= height
    px, py, pz = x - np.float32(ax), y - np.float32(ay), (z - np.float32(az)) * np.float32(1 / height)
    length = max(dx * dx + dy * dy + dz * dz, 1e-6)
    t = np.clip((px * (dx / length) + py * (dy / length)) + pz * (dz / length), 0, 1)
    gap = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2 + (pz - t * dz) ** 2)
    return np.asarray(gap - (radii[0] + t * (radii[1] - radii[0])), np.float32)


def both(*solids: Array) -> Array:
    """What lies inside every solid."""
    result = solids[0]
    for solid in solids[1:]:
        result = np.maximum(result, solid)
    return result


def rounded(first: Array, second: Array, rounding: float = 14.0) -> Array:
    """What lies inside both solids, with the edge where they meet rounded off."""
    blend = np.maximum(rounding - np.abs(first - second), 0) / np.float32(rounding)
    return np.asarray(np.maximum(first, second) + blend * blend * np.float32(rounding / 4), np.float32)


def smooth_path(
    points: Sequence[Point] | npt.NDArray[np.float64], radii: Sequence[float], spans: int = 4
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A Catmull-Rom curve, `spans` straight pieces from each of `points` to the next: points (n, 3) and radii (n,)."""
    knots = np.column_stack([np.asarray(points, float), np.asarray(radii, float)])
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    t = np.arange(spans)[:, None] / spans
    curves = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
        curves.append(0.5 * (2 * p1 + (p2 - p0) * t + bend))
    curve = np.vstack([*curves, knots[-1:]])
    return curve[:, :3], np.maximum(curve[:, 3], 0.3)


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

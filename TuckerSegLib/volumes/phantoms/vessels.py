"""Arteries and veins: the great ones, their branches, and trees that taper inside an organ."""

from collections.abc import Sequence

import numpy as np

from .body import Body, around
from .shapes import Point, Vectors, wander
from .template import spine_y
from .tissues import FAT

_ARCH: list[Point] = [(2, -14, 216), (-16, -20, 244), (-16, -14, 278), (2, 2, 300), (20, 26, 296)]

_DESCENT = (
    (26, 8, 280), (25, 14, 240), (24, 16, 200), (22, 18, 150), (15, 24, 110), (8, 28, 64), (6, 29, 30), (4, 29, -5),
    (3, 29, -38),
)  # fmt: skip
"""The descending aorta: x, millimetres in front of the vertebral bodies' centres, z."""

_AORTA_RADII = (16, 17, 16, 15, 14, 13.5, 13, 13, 12.5, 12, 11.5, 11, 10.5, 10)

_CAVA: list[Point] = [(-24, -2, 172), (-27, 8, 150), (-26, 12, 125), (-24, 9, 90), (-24, 8, 60), (-24, 3, 25),
                      (-24, 2, -10), (-22, 4, -44)]  # fmt: skip


def paint_vessels(body: Body) -> None:
    """Aorta with its arch, both venae cavae, and the larger branches."""
    rng, phase = body.rng, body.phase
    size = float(rng.uniform(0.92, 1.15))
    descent = [(float(x), spine_y(z) - gap, float(z)) for x, gap, z in _DESCENT]
    aorta = wander(rng, [*_ARCH, *descent], 1.8)
    upper_cava = wander(rng, [(-20, -4, 365), (-22, -12, 300), (-24, -14, 250), (-26, -14, 222)], 2)
    _pipe(body, upper_cava, [11, 11, 11, 12], phase["veins"] + 20)
    _branches_of_the_chest(body)
    _pipe(body, aorta, [radius * size for radius in _AORTA_RADII], phase["arteries"], "aorta")
    _pipe(body, wander(rng, _CAVA, 2), [13, 13, 13, 12.5, 12.5, 12, 12, 11], phase["cava"], "inferior_vena_cava")
    _branches_of_the_abdomen(body)


def _branches_of_the_chest(body: Body) -> None:
    """Vessels of neck and arms, pulmonary trunk."""
    phase = body.phase
    for out in (-1, 1):
        _pipe(body, [(out * 5 + 4, -2, 302), (out * 20, 0, 330), (out * 26, 4, 372)], [7, 5.5, 4.5], phase["arteries"])
        _pipe(body, [(-20, -14, 308), (out * 26, -16, 335), (out * 38, 0, 368)], [8, 8, 6], phase["veins"])
    _pipe(body, [(4, -18, 226), (14, -10, 250), (26, 8, 252), (44, 24, 240)], [14, 13, 11, 7], phase["heart"])
    _pipe(body, [(12, -6, 252), (-12, 4, 246), (-42, 20, 238)], [14, 13, 11], phase["heart"])


def _branches_of_the_abdomen(body: Body) -> None:
    """Mesenteric, portal and splenic vessels, then on each side renal and iliac ones."""
    arteries, veins, cava = (body.phase[name] for name in ("arteries", "veins", "cava"))
    _pipe(body, [(2, -12, 70), (2, -26, 45), (0, -36, 0), (-10, -36, -30)], [4, 4, 3.5, 2.5], arteries)
    _pipe(body, [(-12, -34, -30), (-12, -32, 20), (-12, -20, 60), (-32, -6, 92)], [5, 6, 6.5, 7], veins)
    _pipe(body, [(-12, -14, 60), (30, 4, 78), (68, 24, 90)], [5, 4.5, 4], veins)
    for out in (-1, 1):
        _pipe(body, [(out * 6, 6, 58), (out * 28, 22, 52), (out * 44, 28, 45)], [4, 3, 2.5], arteries)
        _pipe(body, [(out * 10, 2, 52), (out * 28, 14, 47), (out * 46, 24, 42)], [5, 5, 4], veins)
        iliac = np.array([(4, 6, -42), (26, 16, -85), (48, 2, -122), (60, -48, -178), (62, -52, -240)]) * (out, 1, 1)
        _pipe(body, iliac, [7, 6, 5.5, 5, 4.5], arteries)
        beside = iliac + np.array((-3 * out, 10, 0))
        beside[0, 0] -= 20
        _pipe(body, beside, [9, 8, 7, 6.5, 6], cava)


def _pipe(
    body: Body, path: Sequence[Point] | Vectors, radii: Sequence[float], value: float, name: str | None = None
) -> None:
    """A vessel in its sheath of fat."""
    part = body.at(around(path, max(radii) + 8))
    pipe = part.tube(path, radii)
    part.paint(pipe - 1.5, FAT + 60, None)
    part.paint(pipe, value, name)


def tree(
    rng: np.random.Generator, root: Point, reach: tuple[Point, Point], trunks: int = 18, width: float = 4.8
) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """Vessels that fork twice on their way from `root` into a box (centre, half size): starts, ends, radii."""
    branches: list[tuple[Vectors, Vectors, float, float]] = []
    origin, centre, half = (np.asarray(v, float) for v in (root, *reach))
    for _ in range(trunks):
        goal = centre + half * rng.uniform(-1, 1, 3)
        fork = origin + (goal - origin) * 0.45 + rng.normal(0, 4, 3)
        branches.append((origin, fork, 1.0, 0.6))
        for _ in range(3):
            tip = goal + rng.normal(0, 1, 3) * half * 0.25
            knee = fork + (tip - fork) * 0.5 + rng.normal(0, 5, 3)
            branches += [(fork, knee, 0.55, 0.38), (knee, tip, 0.38, 0.2)]
            branches += [(knee, tip + rng.normal(0, 16, 3), 0.3, 0.12) for _ in range(2)]
    starts, ends, at_start, at_end = (np.array(column) for column in zip(*branches, strict=True))
    return starts, ends, at_start * width, at_end * width

"""The abdomen: solid organs and stomach, each pressed against its neighbours, and the bowel around them."""

import numpy as np

from .body import Body, around
from .shapes import Array, Box, Point, both, ellipsoid, move, resize, rounded, smooth_path, wander
from .tissues import AIR, FAT, LABELS
from .vessels import tree


def paint_abdomen(body: Body, diaphragm: Array) -> None:
    """Liver, gallbladder, stomach, spleen, pancreas with duodenum, kidneys."""
    _liver(body, diaphragm)
    _stomach(body, diaphragm)
    _spleen(body, diaphragm)
    _pancreas(body)
    for side in ("right", "left"):
        _kidney(body, side)


def _liver(body: Body, diaphragm: Array) -> None:
    rng = body.rng
    box: Box = ((-165, -110, 0), (110, 100, 190))
    part = body.at(box)
    if not part.x.size:
        return
    low, long, wide = rng.normal(0, 9), rng.normal(58, 14), rng.normal(0, 5)
    below = 28 + low + 0.47 * (part.x + 120) - 0.25 * part.y - part.z
    behind = 0.52 * part.x + 0.85 * part.y - 3 - wide
    outline = rounded(part.cavity + 3.5, diaphragm[body.find(box)] + 4.5)
    liver = rounded(rounded(outline, below * 0.85, 22), rounded(behind, part.x - long, 30), 18)
    part.paint(liver, part.phase["liver"] - float(rng.choice([0, 0, 0, 25])), "liver")
    starts, ends, r0, r1 = tree(rng, (-25, 5, 100), ((-65, -5, 110), (50, 40, 35)), 8, 4.8)
    vessels = both(part.capsules(starts, ends, r0, r1), liver + 5)
    part.paint(vessels, part.phase["veins"], where="liver")
    if rng.random() < 0.92:
        centre = move(rng, (-48, -36, 50 + low * 0.6), 4)
        sac = ellipsoid(part.x, part.y, part.z, centre, resize(rng, (17, 28, 19)), (float(rng.normal(25, 8)), 0, 15))
        sac = both(sac, part.cavity + 5)
        part.paint(sac, 45, "gallbladder")
        part.paint(sac + 2, 8)


def _stomach(body: Body, diaphragm: Array) -> None:
    rng = body.rng
    path = wander(rng, [(58, 20, 138), (70, -2, 118), (62, -28, 94), (34, -44, 74), (6, -44, 68), (-18, -32, 70)], 4)
    box = around(path, 45)
    part = body.at(box)
    if not part.x.size:
        return
    full = rng.uniform(0.85, 1.12)
    sac = part.tube(path, [v * full for v in (32, 32, 28, 23, 18, 11)])
    sac = rounded(sac, rounded(part.cavity + 4, diaphragm[body.find(box)] + 5), 8)
    part.paint(sac - 2, FAT, None)
    part.paint(sac, part.phase["bowel"] * 0.9, "stomach")
    part.paint(sac + 4.5, float(rng.uniform(5, 45)))
    part.paint(both(sac + 4.5, part.y - rng.uniform(-38, -12)), AIR + 20)


def _spleen(body: Body, diaphragm: Array) -> None:
    rng = body.rng
    centre, radii = move(rng, (97, 38, 108), 5), resize(rng, (30, 44, 54), 0.16)
    box = around([centre], 75)
    part = body.at(box)
    if not part.x.size:
        return
    whole = ellipsoid(part.x, part.y, part.z, centre, radii, (20, 8, float(rng.normal(-28, 6))))
    spleen = rounded(whole, rounded(part.cavity + 4, diaphragm[body.find(box)] + 5), 10)
    part.paint(spleen - 2, FAT, None)
    part.paint(spleen, part.phase["spleen"], "spleen")


def _pancreas(body: Body) -> None:
    rng = body.rng
    loop = wander(rng, [(-20, -28, 72), (-46, -14, 62), (-52, 2, 34), (-34, 10, 8), (-5, 8, 2), (22, 2, 8)], 3)
    part = body.at(around(loop, 20))
    duodenum = part.tube(loop, [12, 13, 13, 12, 12, 11])
    part.paint(duodenum, part.phase["bowel"] * 0.85, None)
    part.paint(duodenum + 3.5, 18)
    gland = wander(rng, [(-26, -6, 36), (-18, -14, 54), (8, -22, 68), (36, -10, 80), (70, 16, 92)], 3)
    part = body.at(around(gland, 28))
    pancreas = part.tube(gland, [15, 16, 12, 13, 12])
    lobules = 0.9 * np.sin(part.x / 2.3) * np.sin(part.y / 2.6 + part.z / 3.1)
    part.paint(pancreas - 2, FAT, None)
    part.paint(pancreas + lobules, part.phase["pancreas"])
    part.labels[pancreas < 0] = LABELS["pancreas"]


def _kidney(body: Body, side: str) -> None:
    rng = body.rng
    out = -1 if side == "right" else 1
    centre = move(rng, (out * 64, 37, 48 if side == "left" else 36), 5)
    part = body.at(around([centre], 75))
    turn = (float(rng.normal(-8, 4)), float(out * rng.normal(-9, 4)), float(out * rng.normal(40, 8)))
    radii = resize(rng, (27, 25, 55))
    kidney = both(ellipsoid(part.x, part.y, part.z, centre, radii, turn), part.cavity + 3)
    part.paint(kidney - 6, FAT, None)
    part.paint(kidney, part.phase["cortex"], f"kidney_{side}")
    pyramids = kidney + 7 + 2.2 * np.sin(part.z / 4.2) + 1.5 * np.sin(part.x / 4)
    part.paint(pyramids, part.phase["medulla"])
    hilum = (centre[0] - out * 22, centre[1] - 10, centre[2])
    part.paint(both(ellipsoid(part.x, part.y, part.z, hilum, (20, 12, 25)), kidney - 8), FAT + 15, None)
    pelvis = ellipsoid(part.x, part.y, part.z, (hilum[0] - out * 4, hilum[1], hilum[2] - 4), (13, 5, 9))
    part.paint(pelvis, 12)


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

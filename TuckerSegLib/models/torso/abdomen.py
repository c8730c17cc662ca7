"""The solid organs of the abdomen and the stomach, each pressed against its neighbours."""

import numpy as np

from .body import Body, around
from .shapes import Array, Box, both, ellipsoid, rounded
from .tissues import AIR, FAT, LABELS
from .variation import move, resize, wander
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

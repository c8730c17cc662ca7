"""Bladder, hip bones, femora and sacrum."""

import numpy as np

from .body import Body, around
from .shapes import both, ellipsoid, smooth_path
from .tissues import WATER
from .variation import move, resize


def paint_pelvis(body: Body) -> None:
    """Bladder, prostate or uterus, hip bones, femora and sacrum."""
    rng = body.rng
    centre = move(rng, (0, -20, -166), 4)
    part = body.at(around([centre], 70))
    part.paint(ellipsoid(part.x, part.y, part.z, (0, 12, -178), (26, 16, 24)), 60, None)
    part.paint(ellipsoid(part.x, part.y, part.z, (0, -12, -205), (22, 18, 16)), 55, None)
    bladder = ellipsoid(part.x, part.y, part.z, centre, resize(rng, (40, 31, 29), 0.2))
    part.paint(bladder, 42, "urinary_bladder")
    part.paint(bladder + 3.2, WATER)
    for side, out in (("right", -1), ("left", 1)):
        _hip(body, side, out)
    z = (-215, -190, -150, -115, -88)
    part = body.at(((-75, 10, -222), (75, 120, -80)))
    sacrum = part.column(z, [0] * 5, [72, 86, 84, 70, 58], [8, 20, 38, 52, 50], [6, 9, 14, 19, 20], 2.3)
    holes = np.hypot(np.abs(part.x) - 19, part.y - 74) + 0.7 * np.abs((part.z + 108) % 26 - 13) - 5
    part.paint_bone(sacrum, 170, "sacrum")
    part.paint(both(holes, part.z + 105), 30)


def _hip(body: Body, side: str, out: int) -> None:
    rng = body.rng
    joint = (out * 90.0, 4.0, -168.0)
    part = body.at(around([(0, -80, -250), (out * 150.0, 95, -30)], 5))
    crest, _ = smooth_path([(out * 46, 64, -92), (out * 66, 58, -58), (out * 98, 36, -38), (out * 118, 2, -42),
                            (out * 124, -32, -62), (out * 118, -50, -88)], [1] * 6, 3)  # fmt: skip
    neck, _ = smooth_path(
        [(out * 62, 42, -125), (out * 80, 22, -138), (out * 92, 0, -142), (out * 96, -14, -146)], [1] * 4, 5
    )
    wing = part.capsules(neck[: len(crest)], crest, np.full(len(crest), 9.0), np.full(len(crest), 5.5))
    gap = [c - j for c, j in zip((part.x, part.y, part.z), joint, strict=True)]
    distance = np.sqrt(gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2)
    socket = both(distance - 34, 26 - distance, -(-out * gap[0] * 0.8 + gap[2] * 0.65 + gap[1] * 0.15) - 2)
    ring = part.tube([(out * 82, 30, -165), (out * 76, 42, -190), (out * 62, 40, -222), (out * 40, 5, -222),
                      (out * 14, -48, -204)], [17, 15, 14, 8.5, 8])  # fmt: skip
    pubis = part.tube([(out * 84, -18, -160), (out * 52, -48, -176), (out * 12, -56, -192)], [14, 9, 11])
    hip = np.minimum(np.minimum(wing, socket), np.minimum(ring, both(pubis, 5 - out * part.x)))
    part.paint_bone(hip, 190, f"hip_{side}")
    head = distance - 24
    stem = part.tube([joint, (out * 110, 8, -180), (out * 128, 16, -194), (out * 130, 17, -225), (out * 122, 14, -290)],
                     [17, 16, 18, 17, 15])  # fmt: skip
    trochanter = ellipsoid(part.x, part.y, part.z, (out * 135, 22, -190), (15, 19, 22))
    femur = np.minimum(np.minimum(head, stem), trochanter)
    part.paint(np.abs(distance - 25.5) - 1.2, 60, None)
    part.paint_bone(femur, 230 + 60 * rng.uniform(-1, 1), f"femur_{side}")

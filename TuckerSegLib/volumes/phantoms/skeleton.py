"""The bones: pelvis and femora, with the organs between them; ribs, sternum and shoulders; the spine and its canal."""

import numpy as np

from .body import Body, around
from .shapes import Point, Vectors, both, ellipsoid, move, radial, resize, smooth_path
from .template import SPINE_Y, SPINE_Z, VERTEBRAE, on_cage, spine_y
from .tissues import CORD, DISC, LABELS, WATER


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


_DROP = (22, 40, 52, 60, 66, 70, 72, 70, 62, 52, 38, 26)
"""Millimetres each rib falls from spine to front."""

_SWEEP = (150, 148, 146, 144, 142, 138, 132, 124, 116, 106, 88, 62)
"""Degrees from the back at which each rib ends."""

_RISE = (4, 2, 0, 0, 6, 18, 32, 46, 52, 56)
"""Millimetres each cartilage rises from its rib to the sternum; the last two ribs have none."""


def paint_ribcage(body: Body) -> None:
    """Twelve pairs of ribs with their cartilages, sternum, clavicles and scapulae."""
    droop = float(body.rng.uniform(0.85, 1.15))
    for out in (-1, 1):
        for number in range(12):
            front = _rib(body, out, number, droop)
            if number < len(_RISE):
                _cartilage(body, out, number, front)
    _sternum(body)
    _shoulders(body)


def _rib(body: Body, out: int, number: int, droop: float) -> Vectors:
    """Paints a rib and gives its front end."""
    head = float(VERTEBRAE[16 - number]) + 6
    angles = np.radians(np.linspace(20, _SWEEP[number], 15))
    path = np.array([on_cage(out, angle, head - droop * _DROP[number] * (1 - np.cos(angle)) / 1.8) for angle in angles])
    path[0] = (out * 20, spine_y(head) + 8, head)
    part = body.at(around(path, 12))
    width = np.full(14, 5.4 if number < 10 else 4.6)
    part.paint_bone(part.capsules(path[:-1], path[1:], width, width, 1.35), 190, "ribs", 1.9)
    return np.asarray(path[-1], float)


def _cartilage(body: Body, out: int, number: int, start: Vectors) -> None:
    z = max(float(start[2]) + _RISE[number], 150.0)
    end = (out * 18.0, on_cage(1, np.pi, z)[1], z)
    middle = on_cage(out, np.radians(_SWEEP[number] + 12), (float(start[2]) + z) / 2)
    path = np.array([start, middle, end])
    part = body.at(around(path, 12))
    part.paint(part.tube(path, [5, 5, 4.5], 1.2), 115)


def _sternum(body: Body) -> None:
    z = (140, 155, 180, 240, 275, 295, 312)
    front = [on_cage(1, np.pi, v)[1] - 2 for v in z]
    part = body.at(((-45, -140, 130), (45, -10, 320)))
    plate = part.column(z, [0] * 7, front, [5, 9, 17, 17, 20, 30, 27], [5, 6, 7.5, 7.5, 8, 9, 9], 3.0)
    part.paint(plate - 2, 40, None)
    part.paint_bone(plate, 150, "sternum", 1.9)


def _shoulders(body: Body) -> None:
    for out in (-1, 1):
        collar: list[Point] = [
            (out * 24, on_cage(1, np.pi, 308)[1] - 4, 312),
            (out * 70, -28, 335),
            (out * 120, 4, 352),
        ]
        part = body.at(around(collar, 14))
        part.paint_bone(both(part.tube(collar, [8, 6.5, 6.5]), part.wall + 2), 200, None)
        blade = np.array(
            [on_cage(out, np.radians(angle), z) for angle, z in ((48, 225), (52, 262), (54, 300), (62, 325))]
        )
        blade = blade * (1.16, 1.16, 1)
        part = body.at(around(blade, 45))
        inner = np.array([on_cage(out, np.radians(34), z) for z in (250, 275, 300, 320)]) * (1.16, 1.16, 1)
        width = np.full(4, 3.6)
        sheet = np.minimum(
            part.capsules(blade, inner, width, width, 2.6),
            part.capsules(blade[:-1], blade[1:], width[1:] + 1, width[1:] + 1),
        )
        part.paint_bone(both(sheet, part.wall + 2), 220, None)


def paint_spine(body: Body) -> None:
    """Discs, vertebrae with arches and processes, the canal, the cord down to L2 and the roots below."""
    rng = body.rng
    part = body.at(((-60, -10, -112), (60, 140, 400)))
    if not part.x.size:
        return
    y = part.y - np.asarray(np.interp(part.z, SPINE_Z, SPINE_Y), np.float32)
    lumbar = np.clip((part.z + 40) / 330, 0, 1)
    a, b = 26 - 11 * lumbar, 19 - 5 * lumbar
    canal_y = b + 9
    nearest = np.searchsorted((VERTEBRAE[1:] + VERTEBRAE[:-1]) / 2, part.z)
    dz = part.z - VERTEBRAE[nearest].astype(np.float32)
    half = (np.gradient(VERTEBRAE) / 2).astype(np.float32)[nearest]
    inside = both(-94 - part.z, part.z - 405)
    disc = both(radial(part.x, y, a - 1, b - 1, 2.3), inside)
    part.paint(disc, DISC, None)
    waist = 1 - 0.07 * np.cos(np.clip(dz / half, -1, 1) * np.pi)
    trunk = both(radial(part.x, y, a * waist, b * waist, 2.4), np.abs(dz) - (half - 2.6 - 1.2 * (1 - lumbar)))
    ring = both(np.abs(np.hypot(part.x, y - canal_y) - 13) - 4.2, np.abs(dz + 2) - half * 0.68)
    spinous = both(
        np.abs(part.x) - 4, 12 + canal_y - y, y - canal_y - 38, np.abs(dz + 6 + 0.35 * (y - canal_y - 10)) - half * 0.6
    )
    wings = both(
        np.abs(y - canal_y + 2) - 5, np.abs(part.x) - 37 + 6 * lumbar, 12 - np.abs(part.x), np.abs(dz + 1) - 6.5
    )
    bone = both(np.minimum(np.minimum(trunk, ring), np.minimum(spinous, wings)), inside, part.wall + 3)
    marrow = float(rng.uniform(110, 230))
    part.paint_bone(bone, marrow, None, 1.8)
    names = np.where(nearest < 5, LABELS["vertebrae_lumbar"], LABELS["vertebrae_thoracic"])
    named = (bone < 0) & (nearest < 17)
    part.labels[named] = names[named]
    canal = both(np.hypot(part.x, y - canal_y) - 9.5, -120 - part.z)
    part.paint(canal, 12, None)
    cord = both(np.hypot(part.x, (y - canal_y) * 1.1) - 6.8, 30 - part.z)
    part.paint(cord, CORD, "spinal_cord")
    roots = both(np.hypot(part.x, y - canal_y) - 5, part.z - 30)
    part.paint(roots, 25)

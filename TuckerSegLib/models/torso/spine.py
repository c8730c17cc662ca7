"""Discs, vertebrae, the spinal canal and the cord."""

import numpy as np

from .body import Body
from .shapes import both, radial
from .template import SPINE_Y, SPINE_Z, VERTEBRAE
from .tissues import CORD, DISC, LABELS


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

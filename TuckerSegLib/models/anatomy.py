"""A torso painted from a template: which structure lies where, and its attenuation in Hounsfield units.

The template is a supine adult in LPS millimetres: x grows to the patient's left, y to the back, z to the head; z = 0 is
the middle of the third lumbar vertebra's lower neighbour disc, give or take. A seeded generator moves, turns and scales
each organ, chooses the contrast phase, and a smooth warp bends the whole.

Attenuation: Schneider et al., Phys Med Biol 1996;41:111 (tissues, bone), Lamba et al., AJR 2014;203:1013 (unenhanced
abdominal organs), Bae, Radiology 2010;256:32 (contrast phases), Pickhardt et al., Ann Intern Med 2013;158:588
(vertebral marrow). Vertebral levels of organs: Mirjalili et al., Clin Anat 2012;25:1031.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .shapes import FAR, Array, Box, Point, both, capsule, ellipsoid, radial, rounded, smooth_path

Vectors = npt.NDArray[np.float64]

LABELS: dict[str, int] = {
    name: label
    for label, name in enumerate(
        (
            "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
            "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
            "lung_lower_lobe_right", "esophagus", "trachea", "colon", "urinary_bladder", "sacrum", "vertebrae_lumbar",
            "vertebrae_thoracic", "heart", "aorta", "inferior_vena_cava", "femur_left", "femur_right", "hip_left",
            "hip_right", "spinal_cord", "gluteus_maximus_left", "gluteus_maximus_right", "autochthon_left",
            "autochthon_right", "iliopsoas_left", "iliopsoas_right", "ribs", "sternum",
        ),
        start=1,
    )
}  # fmt: skip

PHASES: dict[str, dict[str, float]] = {
    "unenhanced": {
        "arteries": 42, "veins": 42, "cava": 42, "heart": 42, "myocardium": 46, "liver": 57, "spleen": 48, "cortex": 33,
        "medulla": 30, "pancreas": 40, "bowel": 42, "muscle": 54,
    },
    "arterial": {
        "arteries": 330, "veins": 95, "cava": 75, "heart": 270, "myocardium": 105, "liver": 70, "spleen": 130,
        "cortex": 185, "medulla": 75, "pancreas": 105, "bowel": 95, "muscle": 58,
    },
    "portal venous": {
        "arteries": 165, "veins": 175, "cava": 140, "heart": 155, "myocardium": 115, "liver": 112, "spleen": 122,
        "cortex": 190, "medulla": 160, "pancreas": 95, "bowel": 90, "muscle": 64,
    },
}  # fmt: skip

AIR, FAT, SKIN, WATER, CORD, DISC = -1000.0, -104.0, 30.0, 5.0, 38.0, 82.0
CORTICAL_BONE = 720.0

# Half width, half depth and centre (mm) of the muscular wall and of the cavity within it, from the pelvis up.
_LEVELS = (-290, -240, -200, -150, -110, -75, -40, 0, 45, 90, 140, 200, 260, 300, 330, 350, 368, 400)
_WALL_A = (152, 158, 163, 164, 156, 146, 138, 133, 137, 144, 150, 155, 158, 163, 164, 152, 112, 62)
_WALL_B = (84, 92, 101, 104, 97, 90, 87, 86, 91, 97, 102, 105, 101, 90, 77, 67, 58, 54)
_WALL_Y = (12, 12, 12, 13, 10, 4, 0, -2, -2, -2, -2, -2, 0, 6, 12, 14, 14, 12)
_CAVITY_A = (5, 22, 40, 60, 82, 112, 121, 120, 124, 128, 131, 128, 117, 98, 74, 52, 24, 5)
_CAVITY_B = (5, 20, 40, 62, 72, 72, 73, 73, 79, 86, 90, 87, 77, 62, 46, 33, 18, 5)
_CAVITY_Y = (0, 0, 2, 0, -4, -8, -8, -8, -8, -6, -6, -5, -2, 6, 14, 18, 18, 18)

_SPINE_Z = (-110, -90, -75, -40, -5, 30, 64, 97, 150, 200, 250, 293, 332, 368, 400)
_SPINE_Y = (62, 52, 44, 36, 33, 35, 40, 46, 55, 60, 60, 54, 44, 32, 26)
_VERTEBRAE = np.array(
    [-75, -40, -5, 30, 64, 97, 125, 152, 178, 203, 227, 250, 272, 293, 313, 332, 350, 367, 383, 398], float
)
"""Centres of L5 up to L1, T12 up to T1, then the cervical ones, along z."""


@dataclass
class Body:
    """What is painted on: coordinates in the template and, growing, attenuation and labels, all (K, J, I).

    `wall` and `cavity` are signed distances to the muscular wall and to the pleural and peritoneal cavity.
    """

    x: Array
    y: Array
    z: Array
    hu: Array
    labels: npt.NDArray[np.uint8]
    edge: float
    find: Callable[[Box], tuple[slice, slice, slice]]
    rng: np.random.Generator
    phase: dict[str, float]
    wall: Array
    cavity: Array

    def at(self, box: Box) -> "Body":
        """The part within a box of the template; painting on it paints on the whole."""
        s = self.find(box)
        return Body(
            self.x[s], self.y[s], self.z[s], self.hu[s], self.labels[s], self.edge, self.find, self.rng, self.phase,
            self.wall[s], self.cavity[s],
        )  # fmt: skip

    def paint(self, solid: Array, value: float | Array, name: str | None = "", where: str | None = None) -> None:
        """Attenuation inside `solid`, soft at its edge; `name` labels it, None unlabels, "" leaves labels alone."""
        cover = np.clip(0.5 - solid / np.float32(self.edge), 0, 1)
        if where is not None:
            cover = cover * (self.labels == LABELS[where])
        self.hu += cover * (value - self.hu)
        if name != "":
            self.labels[solid < 0] = LABELS[name] if name else 0

    def tube(self, points: Sequence[Point], radii: Sequence[float], height: float = 1.0, pieces: int = 4) -> Array:
        """Signed distance to a smooth tube through `points`."""
        path, widths = smooth_path(points, radii, pieces)
        return self.capsules(path[:-1], path[1:], widths[:-1], widths[1:], height)

    def capsules(
        self, starts: Vectors, ends: Vectors, at_start: Vectors, at_end: Vectors, height: float = 1.0
    ) -> Array:
        """Signed distance to tapering segments, each worked out only near itself."""
        solid = np.full(self.x.shape, FAR, np.float32)
        if not solid.size:
            return solid
        lows, highs = self._bounds()
        for start, end, r0, r1 in zip(starts, ends, at_start, at_end, strict=True):
            margin = (max(r0, r1) + 3 * self.edge) * max(height, 1)
            low, high = np.minimum(start, end) - margin, np.maximum(start, end) + margin
            s = tuple(
                slice(
                    int(np.searchsorted(highs[axis], low[2 - axis])), int(np.searchsorted(lows[axis], high[2 - axis]))
                )
                for axis in range(3)
            )
            if solid[s].size:
                near = capsule(self.x[s], self.y[s], self.z[s], start, end, (float(r0), float(r1)), height)
                solid[s] = np.minimum(solid[s], near)
        return solid

    def _bounds(self) -> tuple[list[Array], list[Array]]:
        """Least and greatest template coordinate of each slab along k, j and i, made monotone for searching."""
        lows, highs = [], []
        for axis, field in enumerate((self.z, self.y, self.x)):
            others = tuple(a for a in range(3) if a != axis)
            lows.append(np.minimum.accumulate(field.min(others)[::-1])[::-1])
            highs.append(np.maximum.accumulate(field.max(others)))
        return lows, highs

    def column(self, z: Sequence[float], x: Sequence[float], y: Sequence[float], a: Sequence[float],
               b: Sequence[float], power: float = 2.0) -> Array:  # fmt: skip
        """A stack of superellipses: centre (x, y) and half axes (a, b) given at levels z, open at neither end."""
        cx, cy, ca, cb = (_follow(self.z, z, v) for v in (x, y, a, b))
        return both(radial(self.x - cx, self.y - cy, ca, cb, power), z[0] - self.z, self.z - z[-1])


def _follow(z: Array, levels: Sequence[float], values: Sequence[float]) -> Array:
    return np.asarray(np.interp(z, levels, values), np.float32)


def wall_and_cavity(x: Array, y: Array, z: Array, belly: float) -> tuple[Array, Array]:
    """Signed distances to the muscular wall and to the cavity; `belly` widens both around the navel."""
    wider = 1 + belly * np.exp(-(((z - 10) / 90) ** 2))
    forward = np.float32(85) * (wider - 1)
    wall = radial(x, y - _follow(z, _LEVELS, _WALL_Y) + forward, _follow(z, _LEVELS, _WALL_A) * wider,
                  _follow(z, _LEVELS, _WALL_B) * wider)  # fmt: skip
    cavity = radial(x, y - _follow(z, _LEVELS, _CAVITY_Y) + forward, _follow(z, _LEVELS, _CAVITY_A) * wider,
                    _follow(z, _LEVELS, _CAVITY_B) * wider)  # fmt: skip
    return wall, cavity


def spine_y(z: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Where the vertebral bodies' centre line lies, front to back."""
    return np.interp(z, _SPINE_Z, _SPINE_Y)


def paint_torso(body: Body, fat: float) -> None:
    """The whole torso, from the skin inwards; `fat` is the subcutaneous layer's thickness in mm at the navel."""
    diaphragm = _diaphragm(body)
    _wall(body, fat)
    _lungs(body, diaphragm)
    _mediastinum(body)
    _bowel(body)
    _abdomen(body, diaphragm)
    _vessels(body)
    _pelvis(body)
    _muscles(body)
    _spine(body)
    _cage(body)


def _move(rng: np.random.Generator, centre: Point, shift: float = 5.0) -> Point:
    dx, dy, dz = np.clip(rng.normal(0, shift, 3), -2 * shift, 2 * shift)
    return centre[0] + float(dx), centre[1] + float(dy) * 0.7, centre[2] + float(dz)


def _resize(rng: np.random.Generator, radii: Point, spread: float = 0.12) -> Point:
    grow = rng.uniform(1 - spread, 1 + spread)
    a, b, c = (float(r * grow * rng.uniform(0.94, 1.06)) for r in radii)
    return a, b, c


def _wander(rng: np.random.Generator, points: Sequence[Point], shift: float = 4.0) -> list[Point]:
    """The same path moved as a whole, each of its points a little on its own."""
    whole = rng.normal(0, shift * 0.7, 3)
    return [
        (float(x), float(y), float(z))
        for x, y, z in np.asarray(points) + whole + np.clip(rng.normal(0, shift * 0.6, (len(points), 3)), -8, 8)
    ]


def _diaphragm(body: Body) -> Array:
    """How far (mm) each point lies above the diaphragm: two domes that fall to the wall, furthest behind."""
    breath = body.rng.uniform(-10, 12)
    reach = np.clip(1 + body.cavity / 120, 0, 1.05)
    dome = 159 + breath - 8 * np.tanh(body.x / 30) - 76 * reach**4 - 0.2 * body.y * reach
    return np.asarray((body.z - dome) * 0.8, np.float32)


def _wall(body: Body, fat: float) -> None:
    """Skin, subcutaneous fat, the muscular wall with fat planes, and fat in the cavity."""
    layer = fat * _follow(body.z, (-240, -120, 0, 120, 260, 350), (1.15, 1.15, 1.0, 0.7, 0.5, 0.5))
    layer = layer * (1 + 0.25 * np.clip(body.y / 80, -1, 1) - 0.2 * np.abs(body.x) / 150)
    back = _follow(body.z, _LEVELS, np.add(_WALL_B, _WALL_Y))
    skin = both(body.wall - layer, body.y - back - 0.8 * layer + 3)
    body.paint(skin, SKIN)
    body.paint(skin + 2.2, FAT)
    body.paint(body.wall, body.phase["muscle"])
    body.paint(np.abs(body.wall + 7.5 + 2 * np.sin(body.z / 23)) - 0.9, FAT + 25)
    deep = body.wall + 20 + 4 * np.sin(body.z / 17) + 5 * np.sin(body.x / 13 + body.z / 41)
    body.paint(both(np.abs(deep) - 1.0, np.minimum(body.z + 60, 285 - body.z)), FAT + 35)
    body.paint(body.cavity + 1, FAT)
    box = ((-30.0, -260.0, -70.0), (30.0, -20.0, 70.0))
    part = body.at(box)
    linea = np.abs(part.x) - 4
    part.paint(both(part.wall, -part.wall - 14, linea), FAT + 40)


def _lungs(body: Body, diaphragm: Array) -> None:
    """Parenchyma cut into lobes by the fissures, with vessels that taper from the hilum."""
    rng = body.rng
    slab = body.find(((-190, -190, 30), (190, 190, 380)))
    part = body.at(((-190, -190, 30), (190, 190, 380)))
    if not part.x.size:
        return
    above = diaphragm[slab]
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
        starts, ends, at_start, at_end = _tree(
            rng, (side * 30.0, 20.0, 238.0), ((side * 78.0, 0.0, 225.0), (46, 70, 100))
        )
        vessels = part.capsules(starts, ends, at_start, at_end)
        part.paint(both(vessels, lungs), max(part.phase["veins"], 40.0))


def _tree(
    rng: np.random.Generator, root: Point, reach: tuple[Point, Point], trunks: int = 18, width: float = 4.8
) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """Vessels that fork twice on their way from `root` into a box (centre, half size) and taper: starts, ends, radii."""
    starts, ends, at_start, at_end = [], [], [], []
    centre, half = (np.asarray(v, float) for v in reach)
    for _ in range(trunks):
        goal = centre + half * rng.uniform(-1, 1, 3)
        fork = np.asarray(root) + (goal - root) * 0.45 + rng.normal(0, 4, 3)
        starts.append(np.asarray(root, float)), ends.append(fork), at_start.append(width), at_end.append(width * 0.6)
        for _ in range(3):
            tip = goal + rng.normal(0, 1, 3) * half * 0.25
            knee = fork + (tip - fork) * 0.5 + rng.normal(0, 5, 3)
            for start, end, r0, r1 in ((fork, knee, 0.55, 0.38), (knee, tip, 0.38, 0.2)):
                starts.append(start), ends.append(end), at_start.append(width * r0), at_end.append(width * r1)
            for _ in range(2):
                twig = tip + rng.normal(0, 16, 3)
                starts.append(knee), ends.append(twig), at_start.append(width * 0.3), at_end.append(width * 0.12)
    return np.array(starts), np.array(ends), np.array(at_start), np.array(at_end)


def _around(points: Sequence[Point] | Vectors, margin: float) -> Box:
    low, high = np.min(points, 0) - margin, np.max(points, 0) + margin
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _mediastinum(body: Body) -> None:
    """Heart with chambers and fat around it, trachea with main bronchi, oesophagus."""
    rng, phase = body.rng, body.phase
    centre, radii = _move(rng, (20, -24, 193), 4), _resize(rng, (56, 44, 46))
    turn = (float(rng.normal(0, 5)), float(rng.normal(28, 5)), float(rng.normal(32, 6)))
    part = body.at(_around([centre], 85))
    heart = ellipsoid(part.x, part.y, part.z, centre, radii, turn)
    outside = -part.z + 128 + 0.35 * np.abs(part.x)
    heart = both(heart, rounded(part.cavity + 6, outside))
    part.paint(both(heart - 5, part.cavity + 2), FAT, None)
    part.paint(heart, phase["myocardium"], "heart")
    chambers = (((20, -2, -6), (30, 17, 18)), ((2, -26, -4), (30, 13, 22)), ((-30, -4, 4), (20, 20, 26)),
                ((-8, 22, 12), (27, 13, 17)))  # fmt: skip
    for (dx, dy, dz), size in chambers:
        chamber = ellipsoid(part.x, part.y, part.z, (centre[0] + dx, centre[1] + dy, centre[2] + dz), size, turn)
        part.paint(both(chamber, heart + 3.5), phase["heart"] * float(rng.uniform(0.88, 1.05)))
    lobe = both(part.cavity, heart)
    part.paint(np.abs(lobe + 2) - 0.6, FAT + 90, where="heart")
    gullet = _wander(rng, [(2, 22, 365), (4, 29, 300), (3, 33, 250), (10, 34, 200), (17, 27, 160), (30, 14, 132)], 2.5)
    part = body.at(_around(gullet, 22))
    tube = part.tube(gullet, [9.5, 9.5, 9.5, 10, 10, 11])
    part.paint(tube, 44, "esophagus")
    part.paint(tube + 7.2, float(rng.choice([-700.0, 20.0])))
    windpipe = _wander(rng, [(0, 3, 372), (0, 8, 320), (1, 14, 285), (1, 18, 262)], 2.5)
    fork = windpipe[-1]
    part = body.at(_around(windpipe, 55))
    size = float(rng.uniform(9, 11))
    bronchi = [part.tube([fork, (fork[0] + s * 18, fork[1] + 3, fork[2] - 14), (fork[0] + s * 38, fork[1] + 5, fork[2] - 25)],
                         [size, 7.5, 6.5]) for s in (-1, 1)]  # fmt: skip
    airway = np.minimum(np.minimum(part.tube(windpipe, [size] * 4), bronchi[0]), bronchi[1])
    part.paint(airway - 2.2, 40, None)
    part.paint(airway, AIR + 15, "trachea")


def _bowel(body: Body) -> None:
    """Loops of small bowel, then the colon from caecum to rectum with haustra, gas in front and stool behind."""
    rng = body.rng
    for _ in range(13):
        centre = rng.uniform((-75, -55, -105), (75, -12, 12))
        path = centre + np.cumsum(rng.normal(0, 1, (11, 3)), 0) * (15, 7, 11)
        path = np.clip(path, (-92, -62, -120), (92, -2, 22))
        part = body.at(_around(path, 18))
        loop = both(part.tube([(float(x), float(y), float(z)) for x, y, z in path], [rng.uniform(9, 13)] * 11),
                    part.cavity + 4)  # fmt: skip
        part.paint(loop, body.phase["bowel"] * 0.9)
        part.paint(loop + 3, float(rng.uniform(8, 35)))
        if rng.random() < 0.35:
            part.paint(both(loop + 3.5, part.y - centre[1] + 4), AIR + 40)
    frame = [(-88, -8, -88), (-100, 4, -50), (-104, 14, -10), (-95, 8, 22), (-68, -42, 14), (-25, -62, 6), (25, -62, 8),
             (68, -44, 32), (98, 0, 66), (108, 22, 40), (108, 20, 0), (105, 14, -45), (84, -6, -88), (50, -20, -104),
             (22, 8, -110), (8, 38, -125), (0, 48, -155), (0, 46, -200), (0, 46, -222)]  # fmt: skip
    path, widths = smooth_path(
        _wander(rng, frame, 4), [28, 26, 24, 23, 21, 20, 20, 20, 20, 17, 16, 16, 15, 15, 16, 19, 21, 18, 9], 5
    )
    widths = widths * (1 + 0.13 * np.sin(np.arange(len(widths)) * 1.9)) * rng.uniform(0.88, 1.1)
    part = body.at(_around(path, 30))
    colon = part.capsules(path[:-1], path[1:], widths[:-1], widths[1:])
    colon = np.where(part.z > -135, both(colon, part.cavity + 3), colon)
    part.paint(colon, body.phase["bowel"] * 0.8 + 5, "colon")
    crumbs = 45 * np.sin(part.x / 3.1 + 2 * np.sin(part.z / 4)) * np.sin(part.y / 2.7) * np.sin(part.z / 3.7)
    part.paint(colon + 3.2, 20 + crumbs)
    gas = part.y + 12 + 18 * np.sin(part.x / 37 + rng.uniform(0, 6)) + 14 * np.sin(part.z / 29 + rng.uniform(0, 6))
    part.paint(both(colon + 4.2, gas), AIR + 30)


def _abdomen(body: Body, diaphragm: Array) -> None:
    """Liver, gallbladder, spleen, stomach, pancreas and kidneys, each pressed against its neighbours."""
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
    part.paint(liver, part.phase["liver"] - rng.choice([0, 0, 0, 25]) * 1.0, "liver")
    root = (-25.0, 5.0, 100.0)
    starts, ends, r0, r1 = _tree(rng, root, ((-65, -5, 110), (50, 40, 35)), 8, 4.8)
    vessels = both(part.capsules(starts, ends, r0, r1), liver + 5)
    part.paint(vessels, part.phase["veins"] + 0.0, where="liver")
    if rng.random() < 0.92:
        centre = _move(rng, (-48, -36, 50 + low * 0.6), 4)
        sac = ellipsoid(part.x, part.y, part.z, centre, _resize(rng, (17, 28, 19)), (float(rng.normal(25, 8)), 0, 15))
        sac = both(sac, part.cavity + 5)
        part.paint(sac, 45, "gallbladder")
        part.paint(sac + 2, 8)


def _stomach(body: Body, diaphragm: Array) -> None:
    rng = body.rng
    path = _wander(rng, [(58, 20, 138), (70, -2, 118), (62, -28, 94), (34, -44, 74), (6, -44, 68), (-18, -32, 70)], 4)
    box = _around(path, 45)
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
    centre, radii = _move(rng, (97, 38, 108), 5), _resize(rng, (30, 44, 54), 0.16)
    box = _around([centre], 75)
    part = body.at(box)
    if not part.x.size:
        return
    whole = ellipsoid(part.x, part.y, part.z, centre, radii, (20, 8, float(rng.normal(-28, 6))))
    spleen = rounded(whole, rounded(part.cavity + 4, diaphragm[body.find(box)] + 5), 10)
    part.paint(spleen - 2, FAT, None)
    part.paint(spleen, part.phase["spleen"], "spleen")


def _pancreas(body: Body) -> None:
    rng = body.rng
    loop = _wander(rng, [(-20, -28, 72), (-46, -14, 62), (-52, 2, 34), (-34, 10, 8), (-5, 8, 2), (22, 2, 8)], 3)
    part = body.at(_around(loop, 20))
    duodenum = part.tube(loop, [12, 13, 13, 12, 12, 11])
    part.paint(duodenum, part.phase["bowel"] * 0.85, None)
    part.paint(duodenum + 3.5, 18)
    gland = _wander(rng, [(-26, -6, 36), (-18, -14, 54), (8, -22, 68), (36, -10, 80), (70, 16, 92)], 3)
    part = body.at(_around(gland, 28))
    pancreas = part.tube(gland, [15, 16, 12, 13, 12])
    lobules = 0.9 * np.sin(part.x / 2.3) * np.sin(part.y / 2.6 + part.z / 3.1)
    part.paint(pancreas - 2, FAT, None)
    part.paint(pancreas + lobules, part.phase["pancreas"])
    part.labels[pancreas < 0] = LABELS["pancreas"]


def _kidney(body: Body, side: str) -> None:
    rng = body.rng
    out = -1 if side == "right" else 1
    centre = _move(rng, (out * 64, 37, 48 if side == "left" else 36), 5)
    part = body.at(_around([centre], 75))
    turn = (float(rng.normal(-8, 4)), float(out * rng.normal(-9, 4)), float(out * rng.normal(40, 8)))
    radii = _resize(rng, (27, 25, 55))
    kidney = both(ellipsoid(part.x, part.y, part.z, centre, radii, turn), part.cavity + 3)
    part.paint(kidney - 6, FAT, None)
    part.paint(kidney, part.phase["cortex"], f"kidney_{side}")
    pyramids = kidney + 7 + 2.2 * np.sin(part.z / 4.2) + 1.5 * np.sin(part.x / 4)
    part.paint(pyramids, part.phase["medulla"])
    hilum = (centre[0] - out * 22, centre[1] - 10, centre[2])
    part.paint(both(ellipsoid(part.x, part.y, part.z, hilum, (20, 12, 25)), kidney - 8), FAT + 15, None)
    pelvis = ellipsoid(part.x, part.y, part.z, (hilum[0] - out * 4, hilum[1], hilum[2] - 4), (13, 5, 9))
    part.paint(pelvis, 12)


def _vessels(body: Body) -> None:
    """Aorta with its arch, both venae cavae, and the larger branches."""
    rng, phase = body.rng, body.phase
    size = float(rng.uniform(0.92, 1.15))
    front = [(z, float(spine_y(z))) for z in (280, 240, 200, 150, 110, 64, 30, -5, -38)]
    arch = [(2, -14, 216), (-16, -20, 244), (-16, -14, 278), (2, 2, 300), (20, 26, 296)]
    beside = (26, 25, 24, 22, 15, 8, 6, 4, 3)
    ahead = (8, 14, 16, 18, 24, 28, 29, 29, 29)
    down = [(float(x), y - gap, float(z)) for (z, y), x, gap in zip(front, beside, ahead, strict=True)]
    path = _wander(rng, [*arch, *down], 1.8)
    radii = [16, 17, 16, 15, 14, 13.5, 13, 13, 12.5, 12, 11.5, 11, 10.5, 10]
    veins = [(-20, -4, 365), (-22, -12, 300), (-24, -14, 250), (-26, -14, 222)]
    _pipe(body, _wander(rng, veins, 2), [11, 11, 11, 12], phase["veins"] + 20)
    for out in (-1, 1):
        neck = [(out * 5 + 4, -2, 302), (out * 20, 0, 330), (out * 26, 4, 372)]
        _pipe(body, neck, [7, 5.5, 4.5], phase["arteries"])
        _pipe(body, [(-20, -14, 308), (out * 26, -16, 335), (out * 38, 0, 368)], [8, 8, 6], phase["veins"])
    hilar = [
        ((4, -18, 226), (14, -10, 250), (26, 8, 252), (44, 24, 240)),
        ((12, -6, 252), (-12, 4, 246), (-42, 20, 238)),
    ]
    for trunk in hilar:
        _pipe(body, trunk, [14, 13, 11, 7][: len(trunk)], phase["heart"])
    _pipe(body, path, [r * size for r in radii], phase["arteries"], "aorta")
    cava = [(-24, -2, 172), (-27, 8, 150), (-26, 12, 125), (-24, 9, 90), (-24, 8, 60), (-24, 3, 25), (-24, 2, -10),
            (-22, 4, -44)]  # fmt: skip
    _pipe(body, _wander(rng, cava, 2), [13, 13, 13, 12.5, 12.5, 12, 12, 11], phase["cava"], "inferior_vena_cava")
    mesentery = [(2, -12, 70), (2, -26, 45), (0, -36, 0), (-10, -36, -30)]
    _pipe(body, mesentery, [4, 4, 3.5, 2.5], phase["arteries"])
    _pipe(body, [(-12, -34, -30), (-12, -32, 20), (-12, -20, 60), (-32, -6, 92)], [5, 6, 6.5, 7], phase["veins"])
    _pipe(body, [(-12, -14, 60), (30, 4, 78), (68, 24, 90)], [5, 4.5, 4], phase["veins"])
    for out in (-1, 1):
        _pipe(body, [(out * 6, 6, 58), (out * 28, 22, 52), (out * 44, 28, 45)], [4, 3, 2.5], phase["arteries"])
        _pipe(body, [(out * 10, 2, 52), (out * 28, 14, 47), (out * 46, 24, 42)], [5, 5, 4], phase["veins"])
        iliac: list[Point] = [
            (out * 4, 6, -42),
            (out * 26, 16, -85),
            (out * 48, 2, -122),
            (out * 60, -48, -178),
            (out * 62, -52, -240),
        ]
        _pipe(body, iliac, [7, 6, 5.5, 5, 4.5], phase["arteries"])
        _pipe(body, [(x - out * 3 + (0 if i else -20), y + 10, z) for i, (x, y, z) in enumerate(iliac)],
              [9, 8, 7, 6.5, 6], phase["cava"])  # fmt: skip


def _pipe(body: Body, path: Sequence[Point], radii: Sequence[float], value: float, name: str | None = None) -> None:
    part = body.at(_around(path, max(radii) + 8))
    pipe = part.tube(path, radii)
    part.paint(pipe - 1.5, FAT + 60, None)
    part.paint(pipe, value, name)


def _pelvis(body: Body) -> None:
    """Bladder, prostate or uterus, hip bones, femora and sacrum."""
    rng = body.rng
    centre = _move(rng, (0, -20, -166), 4)
    part = body.at(_around([centre], 70))
    part.paint(ellipsoid(part.x, part.y, part.z, (0, 12, -178), (26, 16, 24)), 60, None)
    part.paint(ellipsoid(part.x, part.y, part.z, (0, -12, -205), (22, 18, 16)), 55, None)
    bladder = ellipsoid(part.x, part.y, part.z, centre, _resize(rng, (40, 31, 29), 0.2))
    part.paint(bladder, 42, "urinary_bladder")
    part.paint(bladder + 3.2, WATER)
    for side, out in (("right", -1), ("left", 1)):
        _hip(body, side, out)
    z = (-215, -190, -150, -115, -88)
    part = body.at(((-75, 10, -222), (75, 120, -80)))
    sacrum = part.column(z, [0] * 5, [72, 86, 84, 70, 58], [8, 20, 38, 52, 50], [6, 9, 14, 19, 20], 2.3)
    holes = np.hypot(np.abs(part.x) - 19, part.y - 74) + 0.7 * np.abs((part.z + 108) % 26 - 13) - 5
    _bone(part, sacrum, 170, "sacrum")
    part.paint(both(holes, part.z + 105), 30)


def _hip(body: Body, side: str, out: int) -> None:
    rng = body.rng
    joint = (out * 90.0, 4.0, -168.0)
    part = body.at(_around([(out * 0.0, -80, -250), (out * 150.0, 95, -30)], 5))
    crest, _ = smooth_path([(out * 46, 64, -92), (out * 66, 58, -58), (out * 98, 36, -38), (out * 118, 2, -42),
                            (out * 124, -32, -62), (out * 118, -50, -88)], [1] * 6, 3)  # fmt: skip
    neck, _ = smooth_path(
        [(out * 62, 42, -125), (out * 80, 22, -138), (out * 92, 0, -142), (out * 96, -14, -146)], [1] * 4, 5
    )
    wing = part.capsules(neck[: len(crest)], crest, np.full(len(crest), 9.0), np.full(len(crest), 5.5))
    gap = [(c - j) for c, j in zip((part.x, part.y, part.z), joint, strict=True)]
    distance = np.sqrt(gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2)
    socket = both(distance - 34, 26 - distance, -(-out * gap[0] * 0.8 + gap[2] * 0.65 + gap[1] * 0.15) - 2)
    ring = part.tube([(out * 82, 30, -165), (out * 76, 42, -190), (out * 62, 40, -222), (out * 40, 5, -222),
                      (out * 14, -48, -204)], [17, 15, 14, 8.5, 8])  # fmt: skip
    pubis = part.tube([(out * 84, -18, -160), (out * 52, -48, -176), (out * 12, -56, -192)], [14, 9, 11])
    hip = np.minimum(np.minimum(wing, socket), np.minimum(ring, both(pubis, 5 - out * part.x)))
    _bone(part, hip, 190, f"hip_{side}")
    head = distance - 24
    stem = part.tube([joint, (out * 110, 8, -180), (out * 128, 16, -194), (out * 130, 17, -225), (out * 122, 14, -290)],
                     [17, 16, 18, 17, 15])  # fmt: skip
    trochanter = ellipsoid(part.x, part.y, part.z, (out * 135, 22, -190), (15, 19, 22))
    femur = np.minimum(np.minimum(head, stem), trochanter)
    part.paint(np.abs(distance - 25.5) - 1.2, 60, None)
    _bone(part, femur, 230 + 60 * rng.uniform(-1, 1), f"femur_{side}")


def _bone(part: Body, solid: Array, marrow: float, name: str | None, cortex: float = 2.2) -> None:
    part.paint(solid, CORTICAL_BONE, name)
    grain = 40 * np.sin(part.x / 2.1) * np.sin(part.y / 2.4) * np.sin(part.z / 2.7)
    part.paint(solid + np.float32(cortex), marrow + grain)


def _muscles(body: Body) -> None:
    """The labelled muscles, each in its fascia of fat: autochthonous back muscles, iliopsoas, gluteus maximus."""
    muscle = body.phase["muscle"]
    for side, out in (("right", -1), ("left", 1)):
        z = (-160, -110, -75, -40, 0, 60, 120, 200, 280, 340, 375)
        part = body.at(((-75, 10, -165), (75, 140, 380)))
        y = [93, 84, 73, 68, 66, 71, 80, 88, 84, 68, 54]
        back = part.column(z, [out * v for v in (16, 22, 27, 31, 33, 31, 28, 25, 23, 22, 20)], y,
                           [10, 17, 23, 27, 29, 27, 24, 21, 19, 18, 17], [6, 12, 17, 20, 20, 20, 19, 17, 15, 15, 14], 2.6)  # fmt: skip
        back = both(back, part.wall + 2, 2 - out * part.x)
        part.paint(back - 2.2, FAT + 20, None)
        part.paint(back, muscle, f"autochthon_{side}")
        path = [(30, 34, 66), (36, 36, 40), (42, 38, 0), (48, 32, -45), (58, 20, -90), (78, -18, -135), (92, -30, -165),
                (106, -4, -205), (112, 6, -222)]  # fmt: skip
        points = _wander(body.rng, [(out * x, y, z) for x, y, z in path], 2)
        part = body.at(_around([*points, (out * 112.0, 45.0, -60.0)], 26))
        psoas = part.tube(points, [9, 13, 18, 21, 22, 20, 19, 15, 11])
        fan = part.tube([(out * 92, 18, -62), (out * 92, 4, -90), (out * 84, -12, -125)], [15, 17, 16])
        psoas = np.minimum(psoas, fan)
        free = ~np.isin(part.labels, [LABELS[f"hip_{side}"], LABELS[f"femur_{side}"], LABELS["sacrum"]])
        psoas = np.where(free, psoas, FAR)
        part.paint(np.where(free, psoas - 2, FAR), FAT + 20, None)
        part.paint(psoas, muscle, f"iliopsoas_{side}")
        part = body.at(((min(0, out * 160), 20, -250), (max(0, out * 160), 150, -75)))
        seat = ellipsoid(part.x, part.y, part.z, (out * 70, 84, -160), (66, 28, 78), (-14, 0, out * -30))
        free = ~np.isin(
            part.labels, [LABELS[f"hip_{side}"], LABELS[f"femur_{side}"], LABELS["sacrum"], LABELS["colon"]]
        )
        seat = np.where(free, both(seat, part.wall + 1.5, 9 - out * part.x), FAR)
        part.paint(np.where(free, seat - 3, FAR), FAT, None)
        part.paint(seat, muscle - 4, f"gluteus_maximus_{side}")


def _spine(body: Body) -> None:
    """Discs, vertebrae with arches and processes, the spinal canal and the cord."""
    rng = body.rng
    part = body.at(((-60, -10, -112), (60, 140, 400)))
    if not part.x.size:
        return
    y = part.y - np.asarray(np.interp(part.z, _SPINE_Z, _SPINE_Y), np.float32)
    lumbar = np.clip((part.z + 40) / 330, 0, 1)
    a, b = 26 - 11 * lumbar, 19 - 5 * lumbar
    canal_y = b + 9
    nearest = np.searchsorted((_VERTEBRAE[1:] + _VERTEBRAE[:-1]) / 2, part.z)
    dz = part.z - _VERTEBRAE[nearest].astype(np.float32)
    half = (np.gradient(_VERTEBRAE) / 2).astype(np.float32)[nearest]
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
    _bone(part, bone, marrow, None, 1.8)
    names = np.where(nearest < 5, LABELS["vertebrae_lumbar"], LABELS["vertebrae_thoracic"])
    named = (bone < 0) & (nearest < 17)
    part.labels[named] = names[named]
    canal = both(np.hypot(part.x, y - canal_y) - 9.5, -120 - part.z)
    part.paint(canal, 12, None)
    cord = both(np.hypot(part.x, (y - canal_y) * 1.1) - 6.8, 30 - part.z)
    part.paint(cord, CORD, "spinal_cord")
    roots = both(np.hypot(part.x, y - canal_y) - 5, part.z - 30)
    part.paint(roots, 25)


def _cage(body: Body) -> None:
    """Twelve pairs of ribs with their cartilages, sternum, clavicles and scapulae."""
    rng = body.rng
    drop = (22, 40, 52, 60, 66, 70, 72, 70, 62, 52, 38, 26)
    sweep = (150, 148, 146, 144, 142, 138, 132, 124, 116, 106, 88, 62)
    droop = rng.uniform(0.85, 1.15)
    for out in (-1, 1):
        for level in range(12):
            head = float(_VERTEBRAE[16 - level]) + 6
            angles = np.radians(np.linspace(20, sweep[level], 15))
            path = np.array(
                [_on_cage(out, angle, head - droop * drop[level] * (1 - np.cos(angle)) / 1.8) for angle in angles]
            )
            path[0] = (out * 20, spine_y(head) + 8, head)
            part = body.at(_around(path, 12))
            width = 5.4 if level < 10 else 4.6
            rib = part.capsules(path[:-1], path[1:], np.full(14, width), np.full(14, width), 1.35)
            _bone(part, rib, 190, "ribs", 1.9)
            if level < 10:
                tip = path[-1]
                end = np.array([out * 18.0, 0, max(tip[2] + (4, 2, 0, 0, 6, 18, 32, 46, 52, 56)[level], 150.0)])
                end[1] = _on_cage(1, np.pi, end[2])[1]
                middle = np.array(_on_cage(out, np.radians(sweep[level] + 12), (tip[2] + end[2]) / 2))
                stretch = [(float(x), float(y), float(z)) for x, y, z in (tip, middle, end)]
                part = body.at(_around(stretch, 12))
                part.paint(part.tube(stretch, [5, 5, 4.5], 1.2), 115)
    _sternum(body)
    _shoulders(body)


def _on_cage(out: int, angle: float, z: float) -> Point:
    """The point just outside the cavity at an angle from the back and a height."""
    a, b, y = (float(np.interp(z, _LEVELS, v)) for v in (_CAVITY_A, _CAVITY_B, _CAVITY_Y))
    sine, cosine = abs(np.sin(angle)), np.cos(angle)
    radius = ((sine / (a + 4.5)) ** 2.4 + (abs(cosine) / (b + 4.5)) ** 2.4) ** (-1 / 2.4)
    return out * radius * sine, y + radius * cosine, float(z)


def _sternum(body: Body) -> None:
    z = (140, 155, 180, 240, 275, 295, 312)
    front = [_on_cage(1, np.pi, v)[1] - 2 for v in z]
    part = body.at(((-45, -140, 130), (45, -10, 320)))
    plate = part.column(z, [0] * 7, front, [5, 9, 17, 17, 20, 30, 27], [5, 6, 7.5, 7.5, 8, 9, 9], 3.0)
    part.paint(plate - 2, 40, None)
    _bone(part, plate, 150, "sternum", 1.9)


def _shoulders(body: Body) -> None:
    for out in (-1, 1):
        collar: list[Point] = [
            (out * 24, _on_cage(1, np.pi, 308)[1] - 4, 312),
            (out * 70, -28, 335),
            (out * 120, 4, 352),
        ]
        part = body.at(_around(collar, 14))
        _bone(part, both(part.tube(collar, [8, 6.5, 6.5]), part.wall + 2), 200, None)
        blade = np.array(
            [_on_cage(out, np.radians(angle), z) for angle, z in ((48, 225), (52, 262), (54, 300), (62, 325))]
        )
        blade = blade * (1.16, 1.16, 1)
        part = body.at(_around(blade, 45))
        inner = np.array([_on_cage(out, np.radians(34), z) for z in (250, 275, 300, 320)]) * (1.16, 1.16, 1)
        width = np.full(4, 3.6)
        sheet = np.minimum(
            part.capsules(blade, inner, width, width, 2.6),
            part.capsules(blade[:-1], blade[1:], width[1:] + 1, width[1:] + 1),
        )
        _bone(part, both(sheet, part.wall + 2), 220, None)

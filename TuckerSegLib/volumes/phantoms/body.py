"""The canvas that a torso is painted on: attenuation and labels, on the coordinates of the template."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .shapes import FAR, Array, Box, Point, Vectors, both, capsule, radial, smooth_path
from .template import follow
from .tissues import CORTICAL_BONE, LABELS


@dataclass
class Body:
    """What is painted on: coordinates in the template, attenuation and labels, all (K, J, I).

    Attributes:
        hu, labels: what has been painted so far.
        edge: millimetres over which a surface fades.
        find: the voxels within a box of the template.
        phase: attenuation of blood and of tissues that take up contrast.
        wall, cavity: signed distances to the muscular wall and to the pleural and peritoneal cavity.
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
        """Set the attenuation inside `solid`, softly at its edge, and label it.

        `name` None takes labels away, and "" leaves them alone; `where` restricts the paint to a structure.
        """
        cover = np.clip(0.5 - solid / np.float32(self.edge), 0, 1)
        if where is not None:
            cover = cover * (self.labels == LABELS[where])
        self.hu += cover * (value - self.hu)
        if name != "":
            self.labels[solid < 0] = LABELS[name] if name else 0

    def tube(
        self, points: Sequence[Point] | Vectors, radii: Sequence[float], height: float = 1.0, spans: int = 4
    ) -> Array:
        """Signed distance to a smooth tube through `points`, with `spans` straight pieces between two of them."""
        path, widths = smooth_path(points, radii, spans)
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
        """A stack of superellipses: centre (x, y) and half axes (a, b) given at heights z, closed at both ends."""
        cx, cy, ca, cb = (follow(self.z, z, v) for v in (x, y, a, b))
        return both(radial(self.x - cx, self.y - cy, ca, cb, power), z[0] - self.z, self.z - z[-1])

    def paint_bone(self, solid: Array, marrow: float, name: str | None, cortex: float = 2.2) -> None:
        """A dense shell of `cortex` millimetres around grained marrow."""
        self.paint(solid, CORTICAL_BONE, name)
        grain = 40 * np.sin(self.x / 2.1) * np.sin(self.y / 2.4) * np.sin(self.z / 2.7)
        self.paint(solid + np.float32(cortex), marrow + grain)


def around(points: Sequence[Point] | Vectors, margin: float) -> Box:
    """The box that holds the points and a margin."""
    low, high = np.min(points, 0) - margin, np.max(points, 0) + margin
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))

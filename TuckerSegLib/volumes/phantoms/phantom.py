"""A phantom CT with its truth: a painted torso, seen by a simulated scanner."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from ..volume import Geometry, LabelMap, Volume
from .body import Body
from .shapes import Array, Box
from .template import wall_and_cavity
from .tissues import AIR, LABELS, PHASES
from .torso import paint_torso

_RANGES = {"torso": (-232, 352), "chest": (95, 352), "abdomen": (-40, 195), "abdomen and pelvis": (-232, 195)}
"""Heights of the template, in millimetres, between which a scan may run."""

_SHARES = (0.55, 0.15, 0.12, 0.18)
"""How often each of the ranges is scanned."""

_WARP = 11.0
"""Millimetres by which the smooth warp moves a point, at most."""


@dataclass(frozen=True)
class Phantom:
    """A scan and the structures in it, on one grid: int16 Hounsfield units (1, K, J, I) and labels (K, J, I)."""

    image: Volume
    truth: LabelMap
    phase: str = "unenhanced"


@dataclass(frozen=True)
class _Scan:
    """What is chosen at the scanner.

    Attributes:
        spacing: millimetres along (i, j, k).
        shape: voxels along (k, j, i).
        scale: the body's size in that of the template, along (x, y, z).
        first: the first voxel's centre, in LPS millimetres.
    """

    spacing: npt.NDArray[np.float64]
    shape: tuple[int, int, int]
    scale: npt.NDArray[np.float64]
    first: npt.NDArray[np.float64]


def phantom(seed: int) -> Phantom:
    """A torso phantom, the same for the same seed: about 200 x 160 x 150 voxels in a few seconds.

    Body size and fat, pose and shape of each organ, contrast phase, the part of the body scanned, field of view, table,
    slice thickness, blur and noise vary with the seed. `seeds` says which seeds are for what.
    """
    rng = np.random.default_rng(seed)
    belly, fat = float(rng.uniform(-0.04, 0.14)), float(rng.gamma(5, 3.2) + 5)
    scan = _plan(rng, belly, fat)
    x, y, z = _warped_grid(rng, scan)
    wall, cavity = wall_and_cavity(x, y, z, belly)
    phase = str(rng.choice(list(PHASES), p=[0.25, 0.25, 0.5]))
    values = {name: value + float(rng.normal(0, 0.04 * abs(value) + 2)) for name, value in PHASES[phase].items()}
    body = Body(
        x, y, z, np.full(scan.shape, AIR, np.float32), np.zeros(scan.shape, np.uint8), float(scan.spacing[0]),
        lambda box: _find(scan, box), rng, values, wall, cavity,
    )  # fmt: skip
    paint_torso(body, fat)
    hu = _scanned(rng, scan, body.hu, wall, fat)
    geometry = Geometry.from_lps(scan.shape, scan.spacing, scan.first, np.eye(3))
    names = {label: name for name, label in LABELS.items()}
    return Phantom(Volume(hu[None], geometry), LabelMap(body.labels, geometry, names), phase)


def _plan(rng: np.random.Generator, belly: float, fat: float) -> _Scan:
    scale = rng.uniform(0.92, 1.1) * rng.uniform(0.96, 1.04, 3)
    part = str(rng.choice(list(_RANGES), p=_SHARES))
    low, high = np.array(_RANGES[part]) * scale[2] + rng.uniform(-8, 8, 2)
    spacing = np.array([rng.uniform(1.7, 2.4)] * 2 + [rng.choice([2.0, 2.5, 3.0, 4.0, 5.0])])
    width = (2 * 164 * (1 + max(belly, 0) * 0.5) + 2 * fat) * scale[0] * rng.uniform(0.98, 1.12)
    depth = (2 * 104 * (1 + max(belly, 0)) + 2.2 * fat) * scale[1] + rng.uniform(30, 60)
    size = np.array([width, depth, high - low])
    i, j, k = (int(n) for n in np.ceil(size / spacing))
    middle = np.array([rng.normal(0, 6), rng.normal(8, 4), (low + high) / 2])
    return _Scan(spacing, (k, j, i), scale, middle - spacing * (np.array([i, j, k]) - 1) / 2)


def _warped_grid(rng: np.random.Generator, scan: _Scan) -> tuple[Array, Array, Array]:
    """Template coordinates of each voxel, by the body's scale and a smooth warp of a few waves along each axis."""
    axes = [
        (first + step * np.arange(count)) / scale
        for first, step, count, scale in zip(scan.first, scan.spacing, scan.shape[::-1], scan.scale, strict=True)
    ]
    waves = [np.stack([np.ones_like(a), np.sin(a / 75 + p), np.cos(a / 48 + 2 * p)], 1).astype(np.float32)
             for a, p in zip(axes, rng.uniform(0, 6, 3), strict=True)]  # fmt: skip
    coordinates = []
    for axis, shape in zip(axes, ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), strict=True):
        weights = rng.normal(0, 1.0, (3, 3, 3)).astype(np.float32)
        weights[0, 0, 0] = 0
        bend = np.einsum("abc,ka,jb,ic->kji", weights, waves[2], waves[1], waves[0], optimize=True)
        coordinates.append(np.asarray(axis.reshape(shape) + np.clip(bend, -_WARP, _WARP), np.float32))
    return coordinates[0], coordinates[1], coordinates[2]


def _find(scan: _Scan, box: Box) -> tuple[slice, slice, slice]:
    """The voxels that a box of the template can reach."""
    low = (np.array(box[0]) - _WARP) * scan.scale
    high = (np.array(box[1]) + _WARP) * scan.scale
    count = np.array(scan.shape[::-1])
    first = np.clip(np.floor((low - scan.first) / scan.spacing), 0, count).astype(int)
    last = np.clip(np.ceil((high - scan.first) / scan.spacing) + 1, first, count).astype(int)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return k, j, i


def _scanned(rng: np.random.Generator, scan: _Scan, hu: Array, wall: Array, fat: float) -> npt.NDArray[np.int16]:
    """The image of the scanner, with its table, finite resolution, correlated noise and circular field of view."""
    hu = np.where(wall < fat * 2.5, hu, AIR)
    hu = _with_table(rng, scan, hu)
    blur = rng.uniform(0.4, 0.75)
    hu = gaussian_filter(hu, (0.35 + 0.1 * rng.random(), blur, blur), truncate=2.5)
    thickness = np.clip(-wall.min(axis=(1, 2)) / 95, 0.5, 1.3).astype(np.float32)[:, None, None]
    grain = rng.standard_normal(hu.shape, np.float32)
    grain = gaussian_filter1d(gaussian_filter1d(grain, 0.65, 1, truncate=2.5), 0.65, 2, truncate=2.5)
    streaks = gaussian_filter1d(rng.standard_normal(hu.shape, np.float32), 7, 2, truncate=2)
    dose = rng.uniform(7, 20)
    shoulders = np.clip((scan.first[2] + scan.spacing[2] * np.arange(scan.shape[0])) / scan.scale[2] - 290, 0, 40) / 40
    hu += dose * thickness * (grain * 2.3 + streaks * (3 + 6 * shoulders[:, None, None].astype(np.float32)) * 0.6)
    return np.clip(np.rint(_in_circle(rng, hu)), -1024, 3071).astype(np.int16)


def _with_table(rng: np.random.Generator, scan: _Scan, hu: Array) -> Array:
    """A curved table of carbon fibre and foam below the back."""
    _, j, i = scan.shape
    x = scan.first[0] + scan.spacing[0] * np.arange(i)
    y = (scan.first[1] + scan.spacing[1] * np.arange(j))[:, None]
    body = (hu > -300).any(axis=(0, 2))
    back = scan.first[1] + scan.spacing[1] * float(np.flatnonzero(body).max())
    top = back + rng.uniform(1, 8) - x**2 / rng.uniform(900, 1600)
    depth = y - top
    table = np.where((depth > 0) & (depth < 26) & (np.abs(x) < 215), AIR + 55, AIR)
    table = np.where((np.abs(depth - 1.5) < 1.8) | (np.abs(depth - 25) < 1.5), rng.uniform(-350, -120), table)
    table = np.where(np.abs(x) < 215, table, AIR).astype(np.float32)
    return np.maximum(hu, table)


def _in_circle(rng: np.random.Generator, hu: Array) -> Array:
    """Some scanners leave what lies outside the circle of reconstruction at -1024."""
    if rng.random() < 0.5:
        return hu
    j, i = (np.arange(n) - (n - 1) / 2 for n in hu.shape[1:])
    outside = np.hypot(j[:, None], i) > max(hu.shape[1:]) / 2
    return np.where(outside, np.float32(-1024), hu)

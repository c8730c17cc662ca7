"""An image or a label map together with where its voxels lie in the patient.

Every array in this package is indexed (K, J, I), slowest axis first, as NumPy, SimpleITK and VTK give it;
`ijk_to_ras` takes the homogeneous column (i, j, k, 1) to millimetres in RAS, as 3D Slicer and NIfTI do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Matrix = npt.NDArray[np.float64]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

_SAME_PLACE = 1e-3
"""Millimetres that two grids may differ by: files round what they store."""

_SINGULAR = 1e-6
"""Below this share of the product of the spacings, the axes no longer span a volume."""


_SMALLEST, _LARGEST = 1e-4, 1e4
"""Millimetres between voxels; microscopes are finer than the first, and no patient is larger than the second."""

_FARTHEST = 1e7
"""Millimetres from the origin; further away, single precision tells no voxels apart."""


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume: `shape` as (K, J, I), `ijk_to_ras` as (4, 4).

    Raises:
        InputError: a spacing is zero or not finite, or the axes do not span three dimensions.
    """

    shape: tuple[int, int, int]
    ijk_to_ras: Matrix

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError("The image's geometry is not a finite 4x4 matrix: export it again from its source.")
        object.__setattr__(self, "ijk_to_ras", matrix)
        if min(self.spacing) <= 0:
            raise InputError("The image has a voxel spacing of zero: correct its header or export it again.")
        if min(self.spacing) < _SMALLEST or max(self.spacing) > _LARGEST or abs(matrix[:3, 3]).max() > _FARTHEST:
            raise InputError("The image's voxels have an impossible size or position: correct its header.")
        if abs(np.linalg.det(matrix[:3, :3])) < _SINGULAR * np.prod(self.spacing):
            raise InputError("The image's axis directions are singular: correct its header or export it again.")

    @classmethod
    def from_lps(
        cls, shape: tuple[int, int, int], spacing: npt.ArrayLike, origin: npt.ArrayLike, direction: npt.ArrayLike
    ) -> "Geometry":
        """From DICOM's and ITK's terms: spacing (i, j, k), origin in LPS mm, direction with columns i, j, k in LPS."""
        ijk_to_lps = np.eye(4)
        ijk_to_lps[:3, :3] = np.reshape(direction, (3, 3)) * np.asarray(spacing, float)
        ijk_to_lps[:3, 3] = origin
        return cls(shape, RAS_TO_LPS @ ijk_to_lps)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along (i, j, k)."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def origin_lps(self) -> tuple[float, float, float]:
        """The centre of voxel (0, 0, 0) in LPS millimetres."""
        x, y, z, _ = RAS_TO_LPS @ self.ijk_to_ras[:, 3]
        return float(x), float(y), float(z)

    @property
    def direction_lps(self) -> Matrix:
        """(3, 3), columns the unit vectors of i, j, k in LPS."""
        directions: Matrix = (RAS_TO_LPS @ self.ijk_to_ras)[:3, :3] / np.array(self.spacing)
        return directions

    def is_same_grid(self, other: "Geometry") -> bool:
        """Whether the voxels of both lie at the same places, to a micrometre."""
        near = np.allclose(self.ijk_to_ras, other.ijk_to_ras, rtol=0, atol=_SAME_PLACE)
        return tuple(self.shape) == tuple(other.shape) and bool(near)

    @property
    def orientation(self) -> str:
        """Where i, j and k lead, as three of the letters L, R, P, A, I and S: "RAS" is right, anterior, superior."""
        along = np.argmax(np.abs(self.ijk_to_ras[:3, :3] / np.array(self.spacing)), axis=0)
        leads = [self.ijk_to_ras[axis, column] > 0 for column, axis in enumerate(along)]
        return "".join(["LR", "PA", "IS"][axis][int(positive)] for axis, positive in zip(along, leads, strict=True))

    @property
    def voxel_volume(self) -> float:
        """Millilitres of one voxel."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3]))) / 1000.0


@dataclass(frozen=True, repr=False)
class Volume:
    """An image: `voxels` as (C, K, J, I), one entry a channel, on `geometry`.

    Raises:
        InputError: the array is not a finite, real-valued, non-empty 3D image, or does not fit the geometry.
    """

    voxels: npt.NDArray[np.generic]
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.voxels.ndim != 4 or 0 in self.voxels.shape:
            raise InputError(
                f"A 3D image is needed, this one has the shape {self.voxels.shape}: choose a single 3D volume."
            )
        if self.voxels.dtype.kind not in "biuf":
            raise InputError(f"Voxels of the type {self.voxels.dtype} are not intensities: convert the image to grey.")
        if self.voxels.shape[1:] != tuple(self.geometry.shape):
            raise InputError(f"The image is {self.voxels.shape[1:]} voxels but its geometry {self.geometry.shape}.")
        if self.voxels.dtype.kind == "f" and not np.isfinite(self.voxels).all():
            raise InputError("The image has NaN or infinite voxels: replace them (in CT by -1024) and try again.")

    def __repr__(self) -> str:
        channels, *shape = self.voxels.shape
        size, spacing = " x ".join(map(str, shape[::-1])), " x ".join(f"{mm:.4g}" for mm in self.geometry.spacing)
        several = f"{channels} channels, " if channels > 1 else ""
        return f"Volume({several}{size} {self.voxels.dtype}, {spacing} mm, {self.geometry.orientation})"


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: `labels` as (K, J, I) unsigned integers on `geometry`, `names` from label to structure.

    Label 0 is the background and has no name; a name may belong to a label that does not occur.
    """

    labels: npt.NDArray[np.unsignedinteger]
    geometry: Geometry
    names: Mapping[int, str] = field(default_factory=dict)

    def voxel_counts(self) -> dict[int, int]:
        """Voxels a label, for each label that occurs, background left out."""
        highest = int(self.labels.max(initial=0))
        counts = np.zeros(highest + 1, dtype=np.int64)
        for slab in self.labels:  # one at a time, as bincount makes eight bytes of every voxel
            counts += np.bincount(slab.ravel().astype(np.intp), minlength=highest + 1)
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts) if label}
